// What outlasts the page: findings saved, taken away, brought back, exported.

import { at } from "./page_parts.js";
import { whenSaved } from "./table.js";

export class Keeping {
  /** @param {import("./reading.js").Reading} reading  @param {import("./server.js").Server} server */
  constructor(reading, server) {
    this.reading = reading;
    this.server = server;
  }

  async save(finding) {
    const kept = this.reading.findings.kept.get(finding.id);
    const answer = this.reading.findings.answer(finding);
    if (!finding.name) {
      throw new Error("A finding needs a name before it is saved.");
    }
    if (!answer?.mask) {
      throw new Error(`${finding.name} has no mask to save yet.`);
    }
    const said = await this.server.post("save", {
      name: finding.name,
      mask: this.reading.grid.pack(answer.mask),
      replaces: kept && kept.name === finding.name ? kept.digest : "",
      prompts: finding.prompts,
      weights: answer.numbers.weights,
      quality: finding.checked ? "high" : "low",
      colour: finding.colour,
      reader: this.server.reader,
    });
    if (kept && kept.name !== finding.name) {
      await this.server.post("remove", { name: kept.name, replaces: kept.digest, reader: this.server.reader });
    }
    const { prompts, name, checked, colour } = finding;
    const { digest, by, at: when } = said.saved.find((one) => one.name === name);
    this.reading.findings.kept.set(finding.id, { name, prompts, checked, colour, digest, by, at: when });
    this.#refreshKept(said);
  }

  /** What another finding's save took from those that overlap it changes what is kept of them. */
  #refreshKept(said) {
    for (const [id, kept] of this.reading.findings.kept) {
      const now = said.saved.find((one) => one.name === kept.name);
      if (!now) {
        this.reading.findings.kept.delete(id);
      } else if (now.digest !== kept.digest) {
        this.reading.findings.kept.set(id, { ...kept, digest: now.digest, prompts: null });
      }
    }
    this.#showRemoved(said.removed);
    this.reading.changed();
  }

  async saveSome(findings) {
    let count = 0;
    for (const finding of findings) {
      try {
        await this.save(finding);
        count++;
      } catch (error) {
        this.reading.say(error.message, true);
        return;
      }
    }
    this.reading.say(count ? `Saved: ${findings.map((one) => one.name).join(", ")}` : "Everything is saved.");
  }

  saveAll() {
    const open = this.reading.findings.list.filter((one) => this.reading.findings.state(one) !== "saved" && one.prompts.length);
    this.saveSome(open);
  }

  /** Take a finding away, also where it is saved; it can be brought back. */
  async remove(id) {
    const { findings } = this.reading;
    const kept = findings.kept.get(id);
    const { name } = findings.list.find((one) => one.id === id);
    try {
      if (kept) {
        const said = await this.server.post("remove", {
          name: kept.name,
          replaces: kept.digest,
          reader: this.server.reader,
        });
        findings.kept.delete(id);
        this.#showRemoved(said.removed);
      }
      findings.remove(id);
      this.reading.say(`${name} is deleted. Undo, or bring it back below where it was saved.`);
    } catch (error) {
      this.reading.say(error.message, true);
    }
  }

  takeIn(said) {
    for (const saved of said.saved) {
      this.reading.findings.takeIn(saved, this.reading.grid.unpack(saved.mask));
    }
    this.#showRemoved(said.removed);
  }

  #showRemoved(removed) {
    at("removed").hidden = !removed.length;
    const rows = removed.map((one) => {
      const row = document.createElement("li");
      const bring = document.createElement("button");
      Object.assign(bring, { type: "button", textContent: "Bring back" });
      bring.addEventListener("click", () => this.#bringBack(one));
      row.append(`${one.name}, saved ${whenSaved(one.at)}${one.by ? ` by ${one.by}` : ""} `, bring);
      return row;
    });
    at("removed").querySelector("ul").replaceChildren(...rows);
  }

  async #bringBack({ name, file }) {
    try {
      const said = await this.server.post("back", { name, file, reader: this.server.reader });
      const saved = said.saved.find((one) => one.name === name);
      this.reading.findings.takeIn(saved, this.reading.grid.unpack(saved.mask));
      this.#showRemoved(said.removed);
      this.reading.say(`${name} is back.`);
    } catch (error) {
      this.reading.say(error.message, true);
    }
  }

  async export(kind) {
    const findings = this.reading.findings.list
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
      link.download = `${this.reading.about.study}.${{ seg: "dcm", nifti: "zip", csv: "csv" }[kind]}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    } catch (error) {
      this.reading.say(error.message, true);
    }
  }
}
