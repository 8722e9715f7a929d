// What the reader's hands do: mouse on the views, keys, buttons.

import { at } from "./page_parts.js";
import { TwoFingers } from "./touch.js";

const STILL = 4; // pixels that a click may move
const TURN_MS = 120;
const SLICE = 40; // pixels of the wheel
const LINE = 33; // pixels, where a browser scrolls by lines

export function listen(reading) {
  reading.views.forEach((view) => listenToView(reading, view));
  listenToMip(reading);
  new ResizeObserver(() => reading.redraw()).observe(at("views"));
  document.addEventListener("keydown", (event) => key(reading, event));
  document.querySelectorAll(".tool").forEach((one) => one.addEventListener("click", () => reading.setTool(one.dataset.tool)));
  at("window").addEventListener("change", () => {
    reading.setWindow(Number(at("window").value));
    at("window").blur(); // the keys are for the views again
  });
  at("brush").addEventListener("input", () => reading.setBrush(Number(at("brush").value)));
  at("next").addEventListener("click", () => reading.next());
  at("undo").addEventListener("click", () => reading.findings.undo());
  at("redo").addEventListener("click", () => reading.findings.redo());
  at("save").addEventListener("click", () => reading.keeping.saveAll());
  at("help").addEventListener("click", () => at("sheet").showModal());
  at("reader").addEventListener("change", () => {
    reading.server.reader = at("reader").value.trim();
    localStorage.setItem("seganypet-reader", reading.server.reader);
  });
  at("export")
    .querySelectorAll("button")
    .forEach((one) => one.addEventListener("click", () => reading.keeping.export(one.dataset.format)));
  window.addEventListener("beforeunload", (event) => {
    document.activeElement?.blur(); // a name that is being written counts
    if (reading.findings.list.some((one) => reading.findings.state(one) !== "saved" && one.prompts.length)) {
      event.preventDefault();
    }
  });
}

function listenToView(reading, view) {
  const { canvas } = view;
  let down = null;
  const fingers = new TwoFingers(
    (factor, middle) => (view.zoomBy(factor, middle), reading.redraw()),
    (pixels) => scroll(reading, view, pixels),
  );
  const letGo = (keeps) => {
    down?.paints && reading.paintEnds(keeps);
    down = null;
  };
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  for (const comes of ["pointerenter", "focus"]) {
    canvas.addEventListener(comes, () => {
      reading.lastView = view; // which the keys are for
    });
  }
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    reading.lastView = view;
    if (fingers.begin(event)) {
      letGo(down?.moved); // a stroke that was drawn stays, a dab was none
      return;
    }
    down = { x: event.clientX, y: event.clientY, button: event.button, moved: false, window: reading.window };
    const paints = (reading.tool === "brush" || reading.tool === "eraser") && event.button === 0 && !event.shiftKey;
    if (paints) {
      down.paints = true;
      down = reading.paintBegins(view.voxelAt(event, reading.cross), view) ? down : null;
    }
  });
  canvas.addEventListener("pointermove", (event) => {
    reading.tellUnder(view.voxelAt(event, reading.cross));
    if (fingers.move(event) || !down) {
      return;
    }
    const [dx, dy] = [event.clientX - down.x, event.clientY - down.y];
    down.moved ||= Math.hypot(dx, dy) > STILL;
    if (down.paints) {
      reading.brush.to(view.voxelAt(event, reading.cross), view.plane);
      reading.redraw();
    } else if (down.moved && down.button === 2) {
      reading.setWindow(Number((down.window * Math.exp(-dy / 150)).toPrecision(3)));
    } else if (down.moved) {
      view.panBy(event.movementX, event.movementY);
      reading.redraw();
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    fingers.end(event);
    const was = down;
    down = null;
    if (was?.paints) {
      reading.paintEnds();
    } else if (was && !was.moved) {
      const voxel = view.voxelAt(event, reading.cross);
      if (event.ctrlKey || event.metaKey) {
        reading.removeClickAt(view, event);
      } else if (event.shiftKey) {
        reading.moveTo(voxel);
      } else if (was.button !== 1) {
        pick(reading, voxel, was.button === 0 && !event.altKey);
      }
    }
  });
  canvas.addEventListener("pointercancel", (event) => {
    fingers.end(event);
    letGo(true);
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      reading.lastView = view;
      if (event.ctrlKey || event.metaKey) {
        view.zoomBy(Math.exp(-event.deltaY / 400), event);
        reading.redraw();
      } else {
        scroll(reading, view, event.deltaY * (event.deltaMode ? LINE : 1));
      }
    },
    { passive: false },
  );
}

/** A notch of a wheel is a slice, and so are some pixels of a trackpad. */
function scroll(reading, view, pixels) {
  const scrolled = pixels * view.scrolled < 0 ? pixels : view.scrolled + pixels;
  view.scrolled = Math.abs(scrolled) < SLICE ? scrolled : 0;
  if (view.scrolled !== scrolled) {
    reading.step(view, scrolled > 0 ? -1 : 1);
  }
}

/** What the tool does where it was clicked; what is painted with, clicks. */
function pick(reading, voxel, plain) {
  const positive = plain && reading.tool !== "eraser";
  const rule = positive && (reading.tool.startsWith("t") || reading.tool.startsWith("suv"));
  rule ? reading.threshold(voxel, reading.tool) : reading.clicked(voxel, positive);
}

function listenToMip(reading) {
  const { canvas } = reading.mip;
  let down = null;
  let turning = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    down = { x: event.clientX, turned: 0, moved: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (down && reading.mip.ready) {
      const turned = Math.round((event.clientX - down.x) / 12);
      down.moved ||= Math.abs(event.clientX - down.x) > STILL;
      reading.mip.turn(turned - down.turned);
      down.turned = turned;
      reading.redraw();
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    const voxel = down && !down.moved && reading.mip.ready && reading.mip.voxelAt(event);
    down = null;
    if (voxel) {
      reading.moveTo(voxel);
    }
  });
  at("turn").addEventListener("click", () => {
    clearInterval(turning);
    const turns = at("turn").getAttribute("aria-pressed") !== "true";
    at("turn").setAttribute("aria-pressed", String(turns));
    turning = turns ? setInterval(() => (reading.mip.ready && reading.mip.turn(1), reading.redraw()), TURN_MS) : null;
  });
}

function key(reading, event) {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s" && event.target.matches("input")) {
    event.target.blur(); // what was typed counts
  } else if (event.target.closest("input:not([type=range]):not([type=checkbox]), select, dialog[open]")) {
    return;
  }
  const control = event.ctrlKey || event.metaKey;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const act = control ? controlKeys(reading, event)[name] : plainKeys(reading, event)[name];
  if (act) {
    event.preventDefault();
    act();
  }
}

function controlKeys(reading, event) {
  return {
    z: () => (event.shiftKey ? reading.findings.redo() : reading.findings.undo()),
    y: () => reading.findings.redo(),
    s: () => reading.keeping.saveAll(),
  };
}

function plainKeys(reading, event) {
  const view = reading.lastView;
  const step = (by) => () => reading.step(view, by);
  const along = (axis, by) => () => {
    const cross = [...reading.cross];
    cross[view.plane[axis]] += by;
    reading.moveTo(cross);
  };
  const up = event.shiftKey ? along("down", 1) : step(1);
  const down = event.shiftKey ? along("down", -1) : step(-1);
  const zoom = (by) => () => (reading.lastView.zoomBy(by), reading.redraw());
  const { windows } = reading;
  const next = () => windows[(windows.findIndex((value) => value >= reading.window) + 1) % windows.length];
  const onView = event.target === document.body || event.target.matches("canvas");
  return {
    ...(!event.target.matches("input[type=range]") && {
      ArrowUp: up,
      ArrowDown: down,
      ArrowLeft: along("across", 1),
      ArrowRight: along("across", -1),
    }),
    ...(onView && { Enter: () => event.repeat || pick(reading, [...reading.cross], !event.altKey) }),
    PageUp: step(10),
    PageDown: step(-10),
    "+": zoom(1.25),
    "=": zoom(1.25),
    "-": zoom(0.8),
    Backspace: () => reading.findings.active?.prompts.length && reading.findings.removeLast(),
    n: () => reading.next(),
    w: () => reading.setWindow(next()),
    1: () => reading.setTool("click"),
    b: () => reading.setTool("brush"),
    e: () => reading.setTool("eraser"),
    4: () => reading.setTool("t41"),
    5: () => reading.setTool("t50"),
    "[": () => reading.setBrush(reading.brush.radiusMm - 1),
    "]": () => reading.setBrush(reading.brush.radiusMm + 1),
    h: () => {
      reading.allHidden = !reading.allHidden;
      reading.say(reading.allHidden ? "All findings are hidden. H shows them again." : "");
      reading.redraw();
    },
    r: () => {
      reading.views.forEach((view) => view.reset());
      reading.redraw();
    },
    "?": () => at("sheet").showModal(),
  };
}
