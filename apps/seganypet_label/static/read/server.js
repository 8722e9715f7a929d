// What the page asks the server. Where it does not answer, or a login has run out, the question waits and is asked again.

const AGAIN_MS = 2000;

/** An answer that says no: its message is for the reader. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Server {
  /**
   * @param {string} study as it stands in addresses
   * @param {(message: string) => void} tell shows a banner, "" takes it away
   */
  constructor(study, tell) {
    this.study = study;
    this.tell = tell;
    this.reader = "";
    this.volume = ""; // which the page shows, as /about says it
  }

  get(part) {
    return this.#ask(() => fetch(`/read/${this.study}/${part}`));
  }

  post(part, body) {
    return this.#ask(() => this.#send(part, body));
  }

  /** @returns {Promise<Blob>} a file of the findings */
  export(kind, findings) {
    return this.#ask(() => this.#send(`export/${kind}`, { findings, reader: this.reader }), (answer) => answer.blob());
  }

  /** The mask and the numbers of some prompts. */
  click(model, label, prompts) {
    const params = { prompts, label, result_bits: true, last_mask: false, client_id: this.reader };
    const form = new URLSearchParams({ params: JSON.stringify(params) });
    const address = `/infer/${model}?image=${this.study}&output=json`;
    const headers = this.#shown();
    return this.#ask(() => fetch(address, { method: "POST", headers, body: form }));
  }

  /** Bytes, told as they come. */
  bytes(part, progress) {
    const request = () => fetch(`/read/${this.study}/${part}`, { headers: this.#shown() });
    return this.#ask(request, async (answer) => {
      const length = Number(answer.headers.get("content-length")); // 0 where a proxy packs what it passes on
      const parts = [];
      let came = 0;
      for (const reader = answer.body.getReader(); ; ) {
        const { done, value } = await reader.read();
        if (done) {
          return new Blob(parts).arrayBuffer();
        }
        parts.push(value);
        came += value.length;
        progress(length ? Math.min(1, came / length) : 0);
      }
    });
  }

  #shown() {
    return this.volume ? { "x-volume": this.volume } : {};
  }

  #send(part, body) {
    const headers = { "content-type": "application/json", ...this.#shown() };
    return fetch(`/read/${this.study}/${part}`, { method: "POST", headers, body: JSON.stringify(body) });
  }

  /** @param {(answer: Response) => Promise<any>} read what is read of the answer; one that breaks off is none */
  async #ask(request, read = (answer) => answer.json()) {
    for (;;) {
      let said = "The server does not answer. What you click is kept, and sent when it is back.";
      try {
        const answer = await request();
        if (asksToSignIn(answer)) {
          said = "Your login has expired. Sign in again in another tab; what you click here is kept.";
        } else if (!answer.ok) {
          const why = await words(answer);
          if (why || answer.status < 502) {
            throw new Refusal(answer.status, why || `The server answered ${answer.status}.`);
          } // else a proxy says that the server is not there
        } else {
          const content = await read(answer);
          this.tell("");
          return content;
        }
      } catch (error) {
        if (error instanceof Refusal) {
          this.tell("");
          throw error;
        }
      }
      this.tell(said);
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  }
}

/** This server answers data; a page comes from a proxy in front of it, which a login has run out for. */
function asksToSignIn(answer) {
  const page = (answer.headers.get("content-type") || "").startsWith("text/html");
  return answer.status === 401 || (page && (answer.ok || answer.status === 403));
}

async function words(answer) {
  try {
    const { detail } = await answer.json();
    return typeof detail === "string" ? detail : JSON.stringify(detail);
  } catch {
    return "";
  }
}
