const byId = (id) => document.getElementById(id);
const content = (id) => JSON.parse(byId(id).textContent);

// the confusion matrix of the arm that is chosen
const matrices = content("confusion-values");
byId("confusion-arm").addEventListener("change", (event) => {
  const z = matrices[event.target.value];
  Plotly.restyle(document.querySelector("#confusion-chart .plot"), { z: [z], text: [z] });
});

// a chart inside a closed fold has no size until it is opened
document.querySelectorAll("details").forEach((fold) => fold.addEventListener("toggle", () => {
  fold.querySelectorAll(".plot").forEach((place) => Plotly.Plots.resize(place));
}));

if (byId("gallery")) {
  const { frames } = content("gallery");
  const tiles = byId("tiles");
  const START = { split: 100, labels: 100, zoom: 1 };
  const at = { x: 0, y: 0 };

  function image(source, kind, words) {
    const made = new Image();
    Object.assign(made, { src: source, className: kind, alt: words, draggable: false });
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
      )),
    );
  }

  function arrange() {
    const zoom = Number(byId("zoom").value);
    for (const side of ["x", "y"]) at[side] = Math.min(Math.max(at[side], 0), 100 - 100 / zoom);
    // the cut stands still in the tile while the picture moves beneath it
    const cut = at.x + Number(byId("split").value) / zoom;
    const values = { zoom, x: at.x, y: at.y, labels: byId("labels").value / 100, cut: `inset(0 ${100 - cut}% 0 0)` };
    for (const [name, value] of Object.entries(values)) tiles.style.setProperty(`--${name}`, value);
  }

  function move(right, down) {
    at.x += right;
    at.y += down;
    arrange();
  }

  function zoomBy(step) {
    byId("zoom").value = Number(byId("zoom").value) + step;
    arrange();
  }

  const keys = {
    ArrowLeft: () => move(-4, 0), ArrowRight: () => move(4, 0), ArrowUp: () => move(0, -4), ArrowDown: () => move(0, 4),
    "+": () => zoomBy(0.5), "=": () => zoomBy(0.5), "-": () => zoomBy(-0.5),
  };
  tiles.addEventListener("keydown", (event) => {
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  tiles.addEventListener("pointerdown", (event) => {
    const view = event.target.closest(".view");
    if (!view) return;
    let [x, y] = [event.clientX, event.clientY];
    const zoom = Number(byId("zoom").value);
    const drag = (moved) => {
      move((-100 * (moved.clientX - x)) / view.clientWidth / zoom, (-100 * (moved.clientY - y)) / view.clientHeight / zoom);
      [x, y] = [moved.clientX, moved.clientY];
    };
    window.addEventListener("pointermove", drag);
    window.addEventListener("pointerup", () => window.removeEventListener("pointermove", drag), { once: true });
  });
  for (const id of Object.keys(START)) byId(id).addEventListener("input", arrange);
  byId("wrong").addEventListener("change", (event) => tiles.classList.toggle("wrong", event.target.checked));
  byId("frame").addEventListener("change", (event) => show(Number(event.target.value)));
  byId("frame-before").addEventListener("click", () => show(Number(byId("frame").value) - 1));
  byId("frame-after").addEventListener("click", () => show(Number(byId("frame").value) + 1));
  byId("reset").addEventListener("click", () => {
    for (const [id, value] of Object.entries(START)) byId(id).value = value;
    Object.assign(at, { x: 0, y: 0 });
    arrange();
  });
  show(0);
  arrange();
}
