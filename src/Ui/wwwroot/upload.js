// Sends the form's file in the background and shows what is found in it while it is being checked. The answer is the page that the form itself
// would have got; without this script the form is sent as any other.
const count = new Intl.NumberFormat(document.documentElement.lang);

// crypto.randomUUID is missing where there is no TLS, as in some offices.
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = bytes[6] & 0x0f | 0x40;
  bytes[8] = bytes[8] & 0x3f | 0x80;
  const hex = Array.from(bytes, b => b.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

class Live {
  constructor(form, section) {
    this.form = form;
    this.section = section;
    this.button = form.querySelector("button[type=submit]");
    this.progress = section.querySelector("progress");
    form.addEventListener("submit", event => this.submit(event));
  }

  part(name) {
    return this.section.querySelector(`[data-${name}]`);
  }

  say(word) {
    this.part("state").textContent = this.part("state").dataset[word];
  }

  submit(event) {
    const file = this.form.elements.file.files[0];
    // An empty or missing file is for the server to explain.
    if (!file || file.size === 0) return;
    event.preventDefault();
    const body = new FormData(this.form);
    const watch = uuid();
    this.button.disabled = true;
    this.section.hidden = false;
    this.show({ rows: 0, rejected: 0, faults: 0, first: [] });
    this.say("sending");
    this.section.querySelector("h2").focus();
    // The first event says that the node is watching; where it cannot, the file is sent all the same.
    this.events = new EventSource(`/upload/live/${watch}`);
    let begun = false;
    const begin = () => {
      if (!begun) this.send(body, watch);
      begun = true;
    };
    // Something between may hold the events back.
    const patience = setTimeout(begin, 2000);
    this.part("stop").hidden = false;
    this.part("stop").onclick = () => {
      begun = true;
      clearTimeout(patience);
      if (this.request) this.request.abort();
      else this.end("stopped");
    };
    this.events.addEventListener("message", message => {
      begin();
      this.show(JSON.parse(message.data));
    });
    this.events.addEventListener("error", () => {
      this.events.close();
      begin();
    });
  }

  send(body, watch) {
    const request = this.request = new XMLHttpRequest();
    this.progress.value = 0;
    request.upload.addEventListener("progress", sent => { if (sent.lengthComputable) this.progress.value = sent.loaded / sent.total; });
    request.upload.addEventListener("load", () => {
      this.progress.removeAttribute("value");
      this.say("checking");
    });
    request.addEventListener("load", () => {
      this.events.close();
      const there = request.responseURL && new URL(request.responseURL).pathname;
      if (request.response?.querySelector("main") && there === this.form.getAttribute("action")) take(request.response);
      else location.assign(request.responseURL || location.href);
    });
    request.addEventListener("error", () => this.end("broken"));
    request.addEventListener("abort", () => this.end("stopped"));
    request.open("POST", `${this.form.getAttribute("action")}?live=${watch}`);
    request.responseType = "document";
    request.send(body);
  }

  end(word) {
    this.request = null;
    this.events.close();
    this.button.disabled = false;
    this.part("stop").hidden = true;
    this.progress.value = 0;
    this.say(word);
  }

  show(report) {
    this.part("rows").textContent = count.format(report.rows);
    this.part("rejected").textContent = count.format(report.rejected);
    this.part("faults").textContent = count.format(report.faults);
    this.part("found").hidden = report.first.length === 0;
    this.part("list").replaceChildren(...report.first.map(fault => {
      const item = document.createElement("li");
      item.textContent = `${fault.where} ${fault.what}`;
      return item;
    }));
  }
}

// The report takes the place of the page's main part, so that address and history stay as they are.
function take(answer) {
  document.title = answer.title;
  document.querySelector("main").replaceWith(document.adoptNode(answer.querySelector("main")));
  const heading = document.querySelector("main h1");
  heading?.setAttribute("tabindex", "-1");
  heading?.focus();
  scrollTo(0, 0);
  start();
}

function start() {
  const [form, section] = [document.querySelector("form[data-live-upload]"), document.querySelector("[data-live]")];
  if (form && section) new Live(form, section);
}

start();
