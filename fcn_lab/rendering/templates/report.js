const byId = (id) => document.getElementById(id);
const content = (id) => JSON.parse(byId(id).textContent);

// the confusion matrix of the arm that is chosen
const matrices = content("confusion-values");
byId("confusion-arm").addEventListener("change", (event) => {
  const z = matrices[event.target.value];
  const { caption } = event.target.selectedOptions[0].dataset;
  const place = document.querySelector("#confusion-chart .plot");
  document.querySelector("#confusion-chart figcaption").textContent = caption;
  place.setAttribute("aria-label", caption);
  Plotly.restyle(place, { z: [z], text: [z] });
});

// a chart inside a closed fold has no size until it is opened
document.querySelectorAll("details").forEach((fold) => fold.addEventListener("toggle", () => {
  fold.querySelectorAll(".plot").forEach((place) => Plotly.Plots.resize(place));
}));

if (byId("gallery")) {
  const { frames } = content("gallery");
  const tiles = byId("tiles");
  const START = { split: 50, labels: 100, zoom: 1 };
  const at = { x: 0, y: 0, zoom: 1 };

  function image(source, kind, words) {
    const made = new Image();
    Object.assign(made, { src: source, className: kind, alt: words, draggable: false });
    return made;
  }

  function mark(kind, words) {
    const made = document.createElement("span");
    Object.assign(made, { className: kind, textContent: words });
    return made;
  }

  function tile(title, note, ...images) {
    const made = document.createElement("figure");
    const view = document.createElement("div");
    const words = document.createElement("figcaption");
    const [left, right] = [document.createElement("span"), document.createElement("span")];
    [left.textContent, right.textContent] = [title, note];
    words.append(left, right);
    made.className = "tile";
    view.className = "view";
    view.tabIndex = 0;
    view.setAttribute("role", "group");
    view.setAttribute("aria-label", `${title} ${note}`);
    view.append(...images);
    made.append(words, view);
    return made;
  }

  function show(number) {
    const frame = frames[number];
    byId("frame").value = number;
    byId("frame-before").disabled = number === 0;
    byId("frame-after").disabled = number === frames.length - 1;
    const picture = () => image(frame.picture, "picture", `picture ${frame.name}`);
    const truth = () => image(frame.truth, "labels truth", "truth");
    tiles.replaceChildren(
      tile("picture", frame.name, picture()),
      tile("truth", "", picture(), truth()),
      ...Object.entries(frame.arms).map(([arm, shown]) => tile(
        arm, `${shown.accuracy.toFixed(1)} % right`, picture(), truth(),
        image(shown.prediction, "labels prediction", `prediction of ${arm}`),
        image(shown.errors, "errors prediction", `errors of ${arm}`),
        mark("line", ""), mark("side left", "prediction"), mark("side right", "truth"),
      )),
    );
  }

  function arrange() {
    for (const side of ["x", "y"]) at[side] = Math.min(Math.max(at[side], 0), 100 - 100 / at.zoom);
    const split = Number(byId("split").value);
    // the cut stands still in the tile while the picture moves beneath it
    const cut = `inset(0 ${100 - at.x - split / at.zoom}% 0 0)`;
    const values = { ...at, split, cut, labels: byId("labels").value / 100 };
    for (const [name, value] of Object.entries(values)) tiles.style.setProperty(`--${name}`, value);
    for (const [name, is] of Object.entries({ whole: split === 100, none: split === 0, zoomed: at.zoom > 1 })) {
      tiles.classList.toggle(name, is);
    }
  }

  function move(right, down) {
    at.x += right;
    at.y += down;
    arrange();
  }

  // what lies at this point of a tile, in % of it, stays there; the centre where none is given
  function zoomTo(wanted, x = 50, y = 50) {
    const zoom = Math.min(Math.max(wanted, 1), 8);
    at.x += x / at.zoom - x / zoom;
    at.y += y / at.zoom - y / zoom;
    at.zoom = zoom;
    byId("zoom").value = zoom;
    arrange();
  }

  function cutNext() {
    byId("split").value = (Number(byId("split").value) + 50) % 150;
    arrange();
  }

  const turn = (step) => show(Math.min(Math.max(Number(byId("frame").value) + step, 0), frames.length - 1));
  const keys = {
    ArrowLeft: () => move(-4, 0), ArrowRight: () => move(4, 0), ArrowUp: () => move(0, -4), ArrowDown: () => move(0, 4),
    "+": () => zoomTo(at.zoom + 0.5), "=": () => zoomTo(at.zoom + 0.5), "-": () => zoomTo(at.zoom - 0.5),
    t: cutNext, n: () => turn(1), p: () => turn(-1),
  };
  tiles.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const place = [...tiles.querySelectorAll(".view")].indexOf(event.target);
    keys[event.key]();
    tiles.querySelectorAll(".view")[place]?.focus(); // a new frame has new tiles
  });

  // one finger or the mouse moves, two zoom about the point between them
  const fingers = new Map();
  const between = () => {
    const [a, b] = [...fingers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) };
  };
  tiles.addEventListener("pointerdown", (event) => {
    const view = event.target.closest(".view");
    if (view) fingers.set(event.pointerId, { x: event.clientX, y: event.clientY, view });
  });
  window.addEventListener("pointermove", (event) => {
    const finger = fingers.get(event.pointerId);
    if (!finger) return;
    const [before, last] = [fingers.size === 2 ? between() : null, { ...finger }];
    Object.assign(finger, { x: event.clientX, y: event.clientY });
    const place = finger.view.getBoundingClientRect();
    if (before) {
      const now = between();
      zoomTo((at.zoom * now.apart) / before.apart, (100 * (now.x - place.left)) / place.width, (100 * (now.y - place.top)) / place.height);
    } else if (fingers.size === 1) {
      move((-100 * (finger.x - last.x)) / place.width / at.zoom, (-100 * (finger.y - last.y)) / place.height / at.zoom);
    }
  });
  for (const end of ["pointerup", "pointercancel"]) {
    window.addEventListener(end, (event) => fingers.delete(event.pointerId));
  }
  for (const id of ["split", "labels"]) byId(id).addEventListener("input", arrange);
  byId("zoom").addEventListener("input", (event) => zoomTo(Number(event.target.value)));
  byId("wrong").addEventListener("change", (event) => tiles.classList.toggle("wrong", event.target.checked));
  byId("frame").addEventListener("change", (event) => show(Number(event.target.value)));
  byId("frame-before").addEventListener("click", () => turn(-1));
  byId("frame-after").addEventListener("click", () => turn(1));
  byId("reset").addEventListener("click", () => {
    for (const [id, value] of Object.entries(START)) byId(id).value = value;
    Object.assign(at, { x: 0, y: 0, zoom: 1 });
    arrange();
  });
  show(0);
  arrange();
}
