// What outlasts the page: findings saved, taken away, brought back, exported.

import { coveredBy } from "./grid.js";
import { at } from "./page_parts.js";
import { whenSaved } from "./table.js";

export class Keeping {
  /** @param {import("./reading.js").Reading} reading  @param {import("./server.js").Server} server */
  constructor(reading, server) {
    this.reading = reading;
    this.server = server;
    this.last = Promise.resolve();
  }

  /** One after the other: what a save has to name is known when the one before it is done. */
  #inTurn(work) {
    const done = this.last.then(work);
    this.last = done.catch(() => {});
    return done;
  }

  /** A finding that has another name than it is kept under takes the kept one along, unless somebody changed that. */
  async #save(asked) {
    const finding = (await this.reading.settled(asked)) || asked;
    const kept = this.reading.findings.kept.get(finding.id);
    const same = kept && kept.name === finding.name;
    const answer = this.reading.findings.answer(finding);
    if (!finding.name) {
      throw new Error("A finding needs a name before it is saved.");
    }
    if (!answer?.mask) {
      throw new Error(`${finding.name} has no mask to save yet.`);
    }
    if (this.reading.findings.list.some((one) => one.id !== finding.id && one.name === finding.name)) {
      throw new Error(`Two findings are called ${finding.name}: give one another name before you save it.`);
    }
    const request = {
      name: finding.name,
      mask: this.reading.grid.pack(answer.mask),
      replaces: same ? kept.digest : "",
      renames: kept && !same && !kept.stale ? { name: kept.name, digest: kept.digest } : null,
      prompts: finding.prompts,
      weights: answer.numbers.weights,
      quality: finding.checked ? "high" : "low",
      colour: finding.colour,
      reader: this.server.reader,
    };
    const said = await this.server.post("save", request).catch(async (error) => {
      if (error.status === 502) {
        await this.#findKept(finding, answer.mask);
      }
      throw error;
    });
    const { prompts, name, checked, colour } = finding;
    const { by, at: when } = said.saved.find((one) => one.name === name) || {};
    const digest = said.changed.find((one) => one.name === name).after;
    this.reading.findings.kept.set(finding.id, { name, prompts, checked, colour, digest, by, at: when });
    this.#compare(said);
  }

  /** Where the archive was away the server kept the finding all the same: the next save goes over that. */
  async #findKept(finding, mask) {
    const said = await this.server.get("saved");
    const masks = said.saved.map((one) => this.reading.grid.unpack(one.mask));
    const place = said.saved.findIndex((one) => one.name === finding.name);
    if (place >= 0 && coveredBy(masks[place], [mask]) && coveredBy(mask, masks)) {
      const { name, digest, changed = [] } = said.saved[place];
      this.reading.findings.kept.set(finding.id, { name, digest, prompts: null });
      this.#compare({ ...said, changed });
    }
  }

  /**
   * Hold what is kept of each finding against what the server has. What this page's own save changed is known here;
   * one that somebody else changed is stale, short is one whose voxels another finding took and gave up again, and
   * elsewhereMl is what of it the server keeps in other findings, which lie on top.
   */
  #compare({ saved, removed, changed = [] }) {
    const { kept, answers } = this.reading.findings;
    const masks = saved.map((one) => this.reading.grid.unpack(one.mask));
    for (const [id, one] of kept) {
      const now = saved.find(({ name }) => name === one.name);
      if (!now) {
        kept.delete(id);
        continue;
      }
      const own = changed.find(({ name, before }) => name === one.name && before === one.digest);
      const digest = own ? own.after : one.digest;
      const { mask = null, numbers } = answers.get(one.prompts) || {};
      const stale = now.digest !== digest;
      const elsewhereMl = mask && !stale ? numbers.volume_ml - now.volume_ml : 0;
      kept.set(id, { ...one, digest, stale, short: Boolean(mask) && !coveredBy(mask, masks), elsewhereMl });
    }
    this.#showRemoved(removed);
    this.reading.changed();
  }

  /** @param {object[]} findings as they are when this is asked for */
  saveSome(findings) {
    return this.#inTurn(() => this.#saveEach(findings));
  }

  saveAll() {
    const { findings } = this.reading;
    return this.#inTurn(async () => {
      const open = findings.list.filter((one) => findings.state(one) !== "saved" && one.prompts.length);
      if (await this.#saveEach(open)) {
        const short = findings.list.filter((one) => findings.kept.get(one.id)?.short);
        short.length && (await this.#saveEach(short, open));
      }
    });
  }

  /** @param {object[]} earlier findings that were saved just before, and are told with these */
  async #saveEach(chosen, earlier = []) {
    const { findings } = this.reading;
    const before = findings.list.filter((one) => findings.state(one) === "saved");
    const saved = [...earlier];
    const refused = new Set();
    for (const finding of chosen) {
      try {
        await this.#save(finding);
        saved.push(finding);
      } catch (error) {
        refused.add(error.message + (await this.#wayOut(error, finding)));
        if (error.status >= 500) {
          break; // no answer to this finding alone
        }
      }
    }
    const lost = before.filter((one) => !chosen.includes(one) && findings.state(one) !== "saved");
    const words = [saved.length ? `Saved: ${namesOf(saved)}` : "", ...refused];
    words.push(lost.length ? `No longer saved as shown here: ${namesOf(lost)}` : "");
    const shown = (id) => findings.list.some((one) => one.id === id && one.prompts.length);
    const hidden = [...findings.kept].filter(([id]) => !shown(id)).map(([, one]) => one.name);
    words.push(hidden.length ? `Still saved, though empty here: ${hidden.join(", ")}` : "");
    this.reading.say(words.filter(Boolean).map((one) => one.replace(/\.$/, "")).join(". ") || "Everything is saved.", refused.size > 0);
    return !refused.size;
  }

  /** After a conflict: see what the server has, and say what helps. */
  async #wayOut(error, finding) {
    if (error.status !== 409) {
      return "";
    }
    try {
      this.#compare(await this.server.get("saved"));
    } catch {
      return ""; // the conflict's own words stay
    }
    return this.reading.findings.kept.get(finding.id)?.stale ? ". Give yours another name to keep both" : "";
  }

  /** Take a finding away, also where it is saved; it can be brought back. */
  remove(id) {
    return this.#inTurn(() => this.#remove(id));
  }

  async #remove(id) {
    const { findings } = this.reading;
    const kept = findings.kept.get(id);
    const finding = findings.list.find((one) => one.id === id);
    if (!finding) {
      return; // it went meanwhile
    }
    try {
      if (kept) {
        const said = await this.server.post("remove", {
          name: kept.name,
          replaces: kept.digest,
          reader: this.server.reader,
        });
        findings.kept.delete(id);
        findings.deleted.set(kept.name, { finding, kept });
        this.#compare(said);
      }
      findings.remove(id);
      this.reading.say(`${finding.name} is deleted. Undo, or bring it back below where it was saved.`);
    } catch (error) {
      this.reading.say(error.message, true);
    }
  }

  takeIn(said) {
    for (const saved of said.saved) {
      this.reading.findings.takeIn(saved, this.reading.grid.unpack(saved.mask));
    }
    this.#showRemoved(said.removed);
    said.problem && this.reading.say(said.problem, true);
  }

  #showRemoved(removed) {
    at("removed").hidden = !removed.length;
    const rows = removed.map((one) => {
      const row = document.createElement("li");
      const bring = document.createElement("button");
      Object.assign(bring, { type: "button", textContent: "Bring back" });
      bring.addEventListener("click", () => this.#inTurn(() => this.#bringBack(one)));
      row.append(`${one.name}, saved ${whenSaved(one.at)}${one.by ? ` by ${one.by}` : ""} `, bring);
      return row;
    });
    at("removed").querySelector("ul").replaceChildren(...rows);
  }

  async #bringBack({ name, file }) {
    const { findings } = this.reading;
    const id = findings.deleted.get(name)?.finding.id;
    if (findings.list.some((one) => one.name === name && one.id !== id)) {
      this.reading.say(`Another finding is called ${name}: give it another name, and bring this one back then.`, true);
      return;
    }
    try {
      const said = await this.server.post("back", { name, file, reader: this.server.reader });
      const saved = said.saved.find((one) => one.name === name);
      findings.bringBack(saved, this.reading.grid.unpack(saved.mask));
      this.#compare(said);
      this.reading.say(`${name} is back.`);
    } catch (error) {
      this.reading.say(error.message, true);
    }
  }

  async export(kind) {
    const listed = await Promise.all(this.reading.findings.list.map((one) => this.reading.settled(one)));
    const findings = listed
      .filter(Boolean)
      .map((one) => ({ name: one.name, mask: this.reading.findings.answer(one)?.mask }))
      .filter((one) => one.mask)
      .map((one) => ({ ...one, mask: this.reading.grid.pack(one.mask) }));
    if (!findings.length) {
      this.reading.say("There is no finding to export yet.", true);
      return;
    }
    try {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await this.server.export(kind, findings));
      link.download = `${this.reading.about.study}${{ seg: ".dcm", sr: "_sr.zip", nifti: ".zip", csv: ".csv" }[kind]}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    } catch (error) {
      this.reading.say(error.message, true);
    }
  }
}

function namesOf(findings) {
  return findings.map((one) => one.name).join(", ");
}
