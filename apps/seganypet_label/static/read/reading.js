// A study being read: what is shown of it, which finding is worked on, and the question to the server after each click.

import { Brush } from "./brush.js";
import { Findings } from "./findings.js";
import { Grid, maskHolds, middleOf } from "./grid.js";
import { Keeping } from "./keeping.js";
import { Mip } from "./mip.js";
import { at } from "./page_parts.js";
import { Refusal } from "./server.js";
import { SliceView } from "./slices.js";
import { Table } from "./table.js";
import { totals } from "./totals.js";

const MARK_REACH = 10; // pixels from a click's mark that still mean it
const WINDOWS = [5, 7, 10, 15, 20, 40];

export class Reading {
  /**
   * @param {object} about as the server's /about says it
   * @param {Uint16Array} voxels
   * @param {Server} server
   */
  constructor(about, voxels, server) {
    this.about = about;
    this.server = server;
    this.grid = new Grid(about.grid);
    this.voxels = voxels;
    this.grey = new Uint8ClampedArray(65536);
    this.cross = this.grid.shape.map((n) => Math.floor(n / 2));
    this.allHidden = false;
    this.brush = new Brush(this.grid);
    this.findings = new Findings(() => this.changed());
    this.keeping = new Keeping(this, server);
    this.views = [...document.querySelectorAll("canvas[data-view]:not([data-view=mip])")].map(
      (canvas) => new SliceView(canvas, this.grid, voxels),
    );
    this.mip = new Mip(document.querySelector("canvas[data-view=mip]"), this.grid);
    this.table = new Table(at("findings"), this.#acts());
    this.asking = new Set(); // ids of findings that wait for an answer
    this.waiting = []; // to be called after the next change
    this.thresholds = Promise.resolve(); // the last one that was asked for
    this.unbegun = null; // the finding that a threshold on its way will begin
    this.painting = null; // id of the finding that is painted in
    this.lastView = this.views[0];
    this.#describe();
    this.setWindow(about.suv ? 7 : this.#automaticWindow());
    this.setTool("click");
    this.setBrush(8);
  }

  // --- showing

  #describe() {
    const { about } = this;
    const patient = [about.patient || about.study, about.patient_id, about.birth_date && `* ${about.birth_date}`, about.sex];
    const strong = document.createElement("strong");
    strong.textContent = patient.filter(Boolean).join(" · ");
    const study = document.createElement("span");
    study.textContent = [about.date, about.description, about.tracer].filter(Boolean).join(" · ");
    at("patient").replaceChildren(strong, study);
    const source = at("suv-source");
    source.textContent = about.suv
      ? `SUV (body weight): ${about.suv_from}${about.suv_notes.length ? " ⚠" : ""}`
      : `No SUV, values in ${about.units}: ${about.suv_missing}`;
    source.classList.toggle("warning", !about.suv);
    source.title = about.suv_notes.join("\n");
    document.title = `${about.patient || about.study} · SegAnyPET`;
    at("window-unit").textContent = about.suv ? "SUV" : about.units;
    at("reader").value = about.reader || localStorage.getItem("seganypet-reader") || "";
    at("reader").disabled = Boolean(about.reader);
    this.server.reader = at("reader").value;
    at("save").disabled = !about.may_save;
    at("export").querySelectorAll(".dicom").forEach((one) => (one.disabled = !about.dicom));
    const oblique = "The slices are oblique to the patient's axes; views follow the study's own axes.";
    this.say([about.grid.oblique ? oblique : "", ...about.suv_notes].filter(Boolean).join(" · "));
  }

  /** It stays until the reader goes on, or something else is to be said. */
  say(message, error = false) {
    at("status").textContent = message;
    at("status").classList.toggle("error", error);
  }

  #automaticWindow() {
    const { low, step } = this.about.grid;
    return low + step * 65535 * 0.3;
  }

  /** Upper ends to choose from. */
  get windows() {
    return this.about.suv ? WINDOWS : [0.25, 0.5, 1, 2].map((times) => times * this.#automaticWindow());
  }

  setWindow(wanted) {
    const { low, step } = this.about.grid;
    const end = Math.min(Math.max(wanted, step * 50), Math.max(2 * (low + step * 65535), ...this.windows));
    this.window = end;
    for (let stored = 0; stored < 65536; stored++) {
      this.grey[stored] = 255 - (255 * (low + step * stored)) / end;
    }
    const select = at("window");
    const known = [...new Set([...this.windows, end])].sort((a, b) => a - b);
    select.replaceChildren(...known.map((value) => new Option(String(Number(value.toPrecision(3))), value)));
    select.value = String(end);
    this.redraw();
  }

  redraw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.#draw();
    });
  }

  #draw() {
    const shown = this.allHidden ? [] : this.findings.list.filter((one) => !one.hidden);
    const painted = shown.map((one) => {
      const active = one.id === this.findings.activeId;
      return {
        mask: one.id === this.painting ? this.brush.mask : this.findings.shown(one)?.mask,
        colour: one.colour,
        active,
        clicks: one.prompts
          .filter((prompt) => prompt.ijk)
          .map((prompt) => ({ voxel: this.grid.fromStudy(prompt.ijk), positive: prompt.positive })),
      };
    });
    const scene = {
      cross: this.cross,
      grey: this.grey,
      window: this.window,
      findings: painted.sort((a, b) => Number(a.active) - Number(b.active)),
      greyOf: (value) => Math.max(0, Math.min(255, Math.round(255 - (255 * value) / this.window))),
    };
    for (const view of this.views) {
      view.resize();
      view.draw(scene);
    }
    this.mip.resize();
    this.mip.draw(scene);
    const newest = this.findings.active && this.findings.answer(this.findings.active);
    document.body.dataset.painted = newest ? this.findings.active.prompts.length : "";
  }

  changed() {
    const answers = this.findings.list.map((one) => this.findings.shown(one)).filter(Boolean);
    const total = totals(answers, (voxel) => this.valueAt(voxel));
    this.table.draw(this.findings, this.about.suv_missing, total);
    at("undo").disabled = !this.findings.past.length;
    at("redo").disabled = !this.findings.future.length;
    this.findings.list.forEach((finding) => this.ask(finding));
    this.redraw();
    this.waiting.splice(0).forEach((done) => done());
  }

  /** @returns {Promise<object | undefined>} the finding as it was given, or as it is once nothing is on its way for it */
  async settled(finding) {
    while (!this.findings.answer(finding) && this.asking.has(finding.id)) {
      await new Promise((done) => this.waiting.push(done));
    }
    return this.findings.answer(finding) ? finding : this.findings.list.find((one) => one.id === finding.id);
  }

  // --- asking

  /** The answer to a finding's prompts, where there is none yet; one question at a time, the newest next. */
  async ask(finding) {
    if (this.findings.answer(finding) || this.asking.has(finding.id)) {
      return;
    }
    const { prompts } = finding;
    if (!prompts.length) {
      this.findings.answers.set(prompts, { mask: null, numbers: {} });
      this.changed();
      return;
    }
    this.asking.add(finding.id);
    const begun = performance.now();
    try {
      const { mask, ...numbers } = await this.server.click(this.about.model, finding.name, prompts);
      const answered = performance.now();
      this.findings.answers.set(prompts, { mask: this.grid.unpack(mask), numbers });
      const nothing = prompts.at(-1).ijk ? "Nothing was found there. Click on the uptake, or take the click back." : "";
      const said = mask.bits ? numbers.cut_off && "The finding goes on beyond what was looked at." : nothing;
      said && this.say(said);
      requestAnimationFrame(() => {
        const times = { answer: answered - begun, painted: performance.now() - begun };
        document.body.dataset.timings = JSON.stringify(times);
      });
    } catch (error) {
      this.say(error.message, true);
      this.findings.withdraw(finding.id, prompts.at(-1));
      if (!(error instanceof Refusal)) {
        throw error;
      }
    } finally {
      this.asking.delete(finding.id);
    }
    this.changed();
  }

  clicked(voxel, positive) {
    if (!this.grid.holds(voxel)) {
      return;
    }
    this.cross = voxel;
    this.say("");
    this.#reveal();
    if (positive && this.#selectsOther(voxel)) {
      return;
    }
    const active = this.findings.active;
    if (!positive && (!active || !active.prompts.length)) {
      this.say("A background click takes something out of a finding: click on the uptake first, or select a finding.", true);
      this.redraw();
      return;
    }
    if (!active) {
      this.begin();
    }
    this.findings.add({ type: "click", ijk: this.grid.toStudy(voxel), positive });
  }

  /** Whether a voxel of another finding that is shown was meant, and not of the one worked on; that is selected then. */
  #selectsOther(voxel) {
    const holds = (one) => maskHolds(this.findings.shown(one)?.mask, voxel);
    const other = this.findings.list.find((one) => one.id !== this.findings.activeId && !one.hidden && holds(one));
    if (!other || (this.findings.active && holds(this.findings.active))) {
      return false;
    }
    this.findings.select(other.id);
    return true;
  }

  /** What is worked on is seen. */
  #reveal() {
    this.allHidden = false;
    const { active } = this.findings;
    active?.hidden && this.findings.set(active.id, { hidden: false });
  }

  begin(active = true) {
    const { list, kept } = this.findings;
    const taken = new Set([...list, ...kept.values()].map((one) => one.name));
    let number = 1;
    while (taken.has(`lesion ${number}`)) {
      number++;
    }
    return this.findings.begin(`lesion ${number}`, active);
  }

  /** The region of a threshold, for the finding that is worked on now, whatever is when the answer comes. */
  threshold(voxel, rule) {
    if (!this.grid.holds(voxel)) {
      return;
    }
    this.cross = voxel;
    this.say("");
    this.#reveal();
    const begun = this.findings.active && !this.findings.active.prompts.length; // with N, to be filled from anywhere
    if (!begun && this.#selectsOther(voxel)) {
      this.say(`${this.findings.active.name} is selected: click again to replace it by the region.`);
      return;
    }
    const { active } = this.findings;
    if (active && this.findings.shown(active)?.mask && !maskHolds(this.findings.shown(active).mask, voxel)) {
      this.findings.select(null);
      this.unbegun = null;
    }
    const into = this.findings.active ? { id: this.findings.activeId } : (this.unbegun ??= { id: null });
    this.thresholds = this.thresholds.then(() => this.#findRegion(voxel, rule, into));
  }

  async #findRegion(voxel, rule, into) {
    try {
      const mask = await this.server.post("threshold", { ijk: this.grid.toStudy(voxel), rule });
      if (!mask.bits) {
        this.say("Nothing within 2 cm of the click reaches that value.", true);
        return;
      }
      if (into.id === null) {
        into.id = this.begin(!this.findings.active).id;
        this.unbegun = null;
      }
      this.replaceMask(mask, into.id);
    } catch (error) {
      this.say(error.message, true);
    }
  }

  replaceMask(mask, id = this.findings.activeId) {
    const finding = this.findings.list.find((one) => one.id === id);
    if (!finding) {
      this.say("The finding was deleted before its region came.", true);
      return;
    }
    const before = this.findings.answer(finding) ? finding.prompts : finding.before;
    this.findings.change(id, { prompts: [{ type: "mask", ...mask }], before });
  }

  /** @returns {boolean} whether a stroke has begun */
  paintBegins(voxel, view) {
    if (!this.findings.active && this.tool === "eraser") {
      this.say("Select the finding that something is to be erased from.", true);
      return false;
    }
    this.say("");
    this.#reveal();
    if (!this.findings.active) {
      this.begin();
    }
    const { active } = this.findings;
    if (!this.findings.answer(active) && active.prompts.length) {
      this.say(`Wait for the answer to what you did in ${active.name} before you paint there.`, true);
      return false;
    }
    this.painting = active.id;
    this.brush.begin(this.findings.shown(active)?.mask, this.tool === "brush");
    this.brush.to(voxel, view.plane);
    this.redraw();
    return true;
  }

  paintEnds(keeps = true) {
    const id = this.painting;
    this.painting = null;
    if (keeps && this.brush.mask) {
      this.replaceMask(this.grid.pack(this.brush.mask), id);
    }
    this.redraw();
  }

  /** Take back the click whose mark lies under the pointer. */
  removeClickAt(view, event) {
    const { active } = this.findings;
    const index = (active?.prompts || []).findIndex((prompt) => {
      const voxel = prompt.ijk && this.grid.fromStudy(prompt.ijk);
      if (!voxel || Math.abs(voxel[view.plane.normal] - this.cross[view.plane.normal]) > 1) {
        return false;
      }
      const [x, y] = view.pageAt(voxel);
      return Math.hypot(x - event.clientX, y - event.clientY) <= MARK_REACH;
    });
    if (index >= 0) {
      this.findings.removePrompt(index);
    }
  }

  tellUnder(voxel) {
    if (!this.grid.holds(voxel)) {
      at("under").textContent = "\u00a0";
      return;
    }
    const unit = this.about.suv ? "SUV" : this.about.units;
    const value = this.valueAt(voxel).toFixed(2);
    at("under").textContent = `${unit} ${value} at voxel ${this.grid.toStudy(voxel).join(", ")}`;
  }

  /** SUV of a voxel, or its value where there is no SUV. */
  valueAt(voxel) {
    const { low, step } = this.about.grid;
    return low + step * this.voxels[this.grid.index(voxel)];
  }

  moveTo(voxel) {
    if (this.grid.holds(voxel)) {
      this.cross = voxel;
      this.redraw();
    }
  }

  step(view, by) {
    const { normal } = view.plane;
    const cross = [...this.cross];
    cross[normal] = Math.min(this.grid.shape[normal] - 1, Math.max(0, cross[normal] + by));
    this.moveTo(cross);
  }

  setTool(tool) {
    this.tool = tool;
    document.querySelectorAll(".tool").forEach((one) => {
      one.setAttribute("aria-pressed", String(one.dataset.tool === tool));
    });
    document.body.dataset.tool = tool;
  }

  setBrush(mm) {
    this.brush.radiusMm = Math.min(40, Math.max(2, mm));
    at("brush").value = this.brush.radiusMm;
    at("brush-mm").textContent = `${this.brush.radiusMm} mm`;
  }

  next() {
    if (!this.findings.active || this.findings.active.prompts.length) {
      this.begin();
    }
    this.setTool("click");
    this.say("Click on the next finding.");
  }

  #acts() {
    const finding = (id) => this.findings.list.find((one) => one.id === id);
    return {
      select: (id) => this.findings.activeId !== id && this.findings.select(id),
      go: (id) => {
        const { mask } = this.findings.shown(finding(id)) || {};
        if (mask?.data.includes(1)) {
          this.cross = middleOf(mask);
        }
        this.findings.select(id);
      },
      rename: (id, name) => {
        if (!name || this.findings.list.some((one) => one.id !== id && one.name === name)) {
          this.say(name ? `Another finding is called ${name}.` : "A finding needs a name.", true);
          this.changed();
        } else {
          this.findings.change(id, { name });
        }
      },
      leave: () => this.lastView.canvas.focus({ preventScroll: true }),
      recolour: (id) => this.findings.recolour(id),
      hide: (id) => this.findings.set(id, { hidden: !finding(id).hidden }),
      check: (id, checked) => this.findings.change(id, { checked }),
      save: (id) => this.keeping.saveSome([finding(id)]),
      remove: (id) => this.keeping.remove(id),
    };
  }
}
