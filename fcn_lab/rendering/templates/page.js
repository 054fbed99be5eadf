const root = document.documentElement;
const themeButton = document.getElementById("theme");
const darkWanted = window.matchMedia("(prefers-color-scheme: dark)");
// a finger hovers over nothing: the toolbar is always there, and the chart leaves it room
const touched = window.matchMedia("(hover: none)").matches;

function colour(name) {
  return getComputedStyle(root).getPropertyValue(`--${name}`).trim();
}

// names that fit a chart: cut in the middle, and whole where a cut would make two of them alike
function shortened(names, most) {
  const half = Math.floor((most - 1) / 2);
  const cut = names.map((name) => (name.length > most ? `${name.slice(0, half)}…${name.slice(-half)}` : name));
  return new Set(cut).size === new Set(names).size ? cut : names;
}

// the ticks of an axis of names, which at most take half of the chart
function namedTicks(data, letter, width) {
  const values = data.flatMap((trace) => trace[letter] || []);
  const names = [...new Set(values)].filter((value) => typeof value === "string");
  const most = letter === "x" ? 28 : Math.max(28, width / 16);
  return names.some((name) => name.length > most) ? { tickvals: names, ticktext: shortened(names, most) } : {};
}

// plotly's layout in the page's colours; every axis that a chart has gets them
function themed(layout) {
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("quiet"), linecolor: colour("line"), automargin: true };
  const axes = Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
  const styled = Object.fromEntries([...new Set(["xaxis", "yaxis", ...axes])].map((key) => [key, { ...axis, ...layout[key] }]));
  return {
    margin: { t: touched ? 40 : 24, r: 16, b: 48, l: 56 }, colorway: COLOURS, hovermode: "closest",
    legend: { orientation: "h", yref: "container", y: 1, yanchor: "top", x: 0, maxheight: 0.9 }, ...layout, ...styled,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("ink") },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("quiet"), activecolor: colour("accent") },
    hoverlabel: { bgcolor: colour("raised"), bordercolor: colour("line"), font: { color: colour("ink") } },
  };
}

const charts = [...document.querySelectorAll("figure.chart")].map((figure) => {
  const { data, layout = {} } = JSON.parse(figure.querySelector("script").textContent);
  const place = figure.querySelector(".plot");
  const width = place.clientWidth;
  const names = shortened(data.map((trace) => trace.name || ""), width / 8);
  data.forEach((trace, number) => { if (trace.name) trace.name = names[number]; });
  for (const letter of ["x", "y"]) layout[`${letter}axis`] = { ...layout[`${letter}axis`], ...namedTicks(data, letter, width) };
  return { place, data, layout };
});
for (const { place, data } of charts) { // a narrow chart sets its legend line by line
  const narrow = place.clientWidth < 600 && data.length > 3;
  if (narrow) place.style.height = `${place.clientHeight + 20 * data.length}px`;
}
// a PNG's chunk pHYs, 11,811 dots to the metre, and its place behind the header, both in base64
const [DENSITY, HEADER_END] = ["AAAACXBIWXMAAC4jAAAuIwF4pT92", "data:image/png;base64,".length + 44];

// saves a chart with its title above it: 300 dots to the inch, where the page has 96
async function save(place) {
  const title = place.closest("figure").querySelector("figcaption").textContent.trim();
  const scale = 300 / 96;
  const picture = new Image();
  picture.src = await Plotly.toImage(place, { format: "png", scale, width: place.clientWidth, height: place.clientHeight });
  await picture.decode();
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  const font = pen.font = `600 ${14 * scale}px ${getComputedStyle(document.body).fontFamily}`;
  const lines = [""];
  for (const word of title.split(/\s+/)) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (pen.measureText(longer).width < picture.width - 16 * scale) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  const room = (8 + 20 * lines.length) * scale;
  Object.assign(canvas, { width: picture.width, height: picture.height + room });
  pen.fillStyle = colour("paper");
  pen.fillRect(0, 0, canvas.width, canvas.height);
  Object.assign(pen, { font, fillStyle: colour("ink"), textBaseline: "top" });
  lines.forEach((line, number) => pen.fillText(line, 8 * scale, (8 + 20 * number) * scale));
  pen.drawImage(picture, 0, room);
  const url = canvas.toDataURL("image/png");
  const href = url.slice(0, HEADER_END) + DENSITY + url.slice(HEADER_END);
  const download = `${title.toLowerCase().replace(/\W+/g, "-").slice(0, 60)}.png`;
  Object.assign(document.createElement("a"), { href, download }).click();
}

// all buttons by name: plotly's own choice has one that sends a chart away
const SAVE = { name: "save", title: "Save as a PNG, 300 dots to the inch", icon: Plotly.Icons.camera, click: save };
const MOVES = [["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "autoScale2d", "resetScale2d"]];
const BUTTONS = [[SAVE], ...(touched ? [["resetScale2d"]] : MOVES)];
const drawn = Promise.all(charts.map(({ place, data, layout }) => Plotly.newPlot(place, data, themed(layout), {
  responsive: true, displaylogo: false, plotlyServerURL: "", modeBarButtons: BUTTONS,
  displayModeBar: touched || "hover",
})));

function paint(dark) {
  root.dataset.theme = dark ? "dark" : "light";
  themeButton.textContent = dark ? "Light" : "Dark";
  themeButton.setAttribute("aria-pressed", String(dark));
  return drawn.then(() => Promise.all(charts.map(({ place, layout }) => Plotly.relayout(place, themed(layout)))));
}

paint(darkWanted.matches);
darkWanted.addEventListener("change", (event) => paint(event.matches));
themeButton.addEventListener("click", () => paint(root.dataset.theme !== "dark"));
let before = null;
window.addEventListener("beforeprint", () => { before = root.dataset.theme; paint(false); });
window.addEventListener("afterprint", () => { paint(before === "dark"); });

// on paper nothing can be opened
const folds = [...document.querySelectorAll("details")];
let closed = [];
window.matchMedia("print").addEventListener("change", ({ matches }) => {
  if (matches) closed = folds.filter((fold) => !fold.open);
  for (const fold of closed) fold.open = matches;
});
