// What moves in a page: explorers show the picture of their controls, predictions lock when they are made, wide things scroll.

// A control's number, and its name for that number where people and screen readers find it.
function place(control, labels) {
  if (control.matches("fieldset")) return Number(control.querySelector("input:checked").value);
  const slider = control.querySelector("input");
  const label = labels[slider.value];
  control.querySelector("output").textContent = label;
  slider.setAttribute("aria-valuetext", label);
  return Number(slider.value);
}

function explorer(figure) {
  const { labels, frames, shown, alts } = JSON.parse(figure.querySelector("script").textContent);
  const image = figure.querySelector("img");
  const caption = figure.querySelector("figcaption");
  const controls = [...figure.querySelectorAll(".controls > *")];

  // Pictures that one move may ask for are decoded before it does.
  const pictures = new Map();
  const ready = (combination) => {
    const frame = shown[combination];
    if (!pictures.has(frame)) {
      const picture = new Image();
      picture.src = frames[frame];
      pictures.set(frame, picture);
      picture.decode().catch(() => {}); // dropped by the browser: it is decoded when it is shown
    }
  };

  const show = () => {
    const places = controls.map((control, i) => place(control, labels[i]));
    const combination = places.reduce((sum, at, i) => sum * labels[i].length + at, 0);
    image.src = frames[shown[combination]];
    image.alt = caption.textContent = alts[combination];
    let step = 1;
    for (let i = labels.length - 1; i >= 0; step *= labels[i].length, i--) {
      if (places[i] > 0) ready(combination - step);
      if (places[i] < labels[i].length - 1) ready(combination + step);
    }
  };

  figure.addEventListener("input", show);
  figure.querySelectorAll(".play").forEach((button) => play(button, caption));
  show(); // a browser that comes back to a page keeps where its controls stood
}

// Step by step to the end, from the beginning if it is there already. Silent on the way, for nobody can listen so fast.
function play(button, caption) {
  const slider = button.parentElement.querySelector("input");
  const name = button.getAttribute("aria-label").replace("Play ", "");
  const pause = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1500 : 250; // milliseconds
  let timer;
  const move = (value) => {
    slider.value = value;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const set = (playing) => {
    clearInterval(timer);
    timer = undefined;
    button.textContent = playing ? "❚❚" : "▶";
    button.setAttribute("aria-label", `${playing ? "Pause" : "Play"} ${name}`);
    caption.setAttribute("aria-live", playing ? "off" : "polite");
  };
  button.addEventListener("click", () => {
    if (timer !== undefined) return set(false);
    if (slider.value === slider.max) move(0);
    set(true);
    timer = setInterval(() => {
      move(Number(slider.value) + 1);
      if (slider.value === slider.max) set(false);
    }, pause);
  });
}

function prediction(box) {
  const slider = box.querySelector("input");
  const number = () => String(Number(Number(slider.value).toPrecision(3)));
  const show = () => {
    box.querySelector("output").textContent = number();
    slider.setAttribute("aria-valuetext", number());
  };
  slider.addEventListener("input", show);
  box.querySelector("button").addEventListener("click", () => {
    box.disabled = true; // once and for all
    box.querySelector("p").textContent = `You said ${number()}. Now read on, and compare it with what was measured.`;
  });
  show();
}

document.querySelectorAll("figure.explorer").forEach(explorer);
document.querySelectorAll("fieldset.prediction").forEach(prediction);

// What is wider than the page scrolls, by keyboard too.
const scrollable = () =>
  document.querySelectorAll(".wide, .highlight pre").forEach((part) => {
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
    else part.removeAttribute("tabindex");
  });
scrollable();
addEventListener("resize", scrollable);
document.querySelectorAll("details").forEach((part) => part.addEventListener("toggle", scrollable));
