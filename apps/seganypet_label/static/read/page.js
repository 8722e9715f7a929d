// The reading page of one study. A click is answered by itself; there is no Run.

import { listen } from "./hands.js";
import { at } from "./page_parts.js";
import { Reading } from "./reading.js";
import { Server } from "./server.js";

const LOOK_MS = 1000;

async function open() {
  const server = new Server(document.body.dataset.address, (message) => {
    at("banner").textContent = message;
    at("banner").hidden = !message;
  });
  try {
    tellLoading(0, "Reading the study");
    const about = await server.get("about");
    server.volume = about.volume;
    const content = await server.bytes("voxels", (share) => tellLoading(share, `Loading ${Math.round(100 * share)} %`));
    const reading = new Reading(about, new Uint16Array(content), server);
    window.seganypet = reading; // for the console, and for tests that ask where a voxel lies on the screen
    reading.keeping.takeIn(about);
    reading.changed();
    listen(reading);
    at("loading").hidden = true;
    document.body.dataset.ready = "slices";
    watchEncoding(server).catch((error) => (at("encoding").textContent = error.message));
    await showProjections(reading, server);
    document.body.dataset.ready = "all";
  } catch (error) {
    tellLoading(0, `This study cannot be shown: ${error.message}`);
    at("loading").classList.add("error");
    throw error;
  }
}

function tellLoading(share, what) {
  at("loading").querySelector("progress").value = share;
  at("loading").querySelector("span").textContent = what;
}

/** Slices are read without them, too. */
async function showProjections(reading, server) {
  try {
    reading.mip.take(await server.bytes("projections", () => {}));
    reading.redraw();
  } catch (error) {
    reading.say(`The projections cannot be shown: ${error.message}`, true);
  }
}

/** How far the study is encoded, told until it is done. */
async function watchEncoding(server) {
  for (;;) {
    const { state, encoded, windows } = await server.get("progress");
    const busy = state === "waiting" || state === "encoding";
    at("encoding").textContent = busy ? `Encoding: ${encoded} of ${windows ?? "?"} windows` : "";
    if (!busy) {
      return;
    }
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
}

open();
