// Passkeys: the only part of signing in that needs a script. The server gives the options and checks the answer; nothing is decided here.
const token = () => document.querySelector('form input[name="__form"]')?.value ?? "";

async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", "accept": "application/json", "x-form-token": token() },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw new Error(String(response.status));
  return response;
}

async function use(part) {
  const options = await (await post(part.dataset.options)).json();
  const credential = part.dataset.passkey === "get"
    ? await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) })
    : await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) });
  await post(part.dataset.finish, credential.toJSON());
  location.assign(part.dataset.then);
}

for (const part of document.querySelectorAll("[data-passkey]")) {
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
    part.parentElement.querySelector("[data-unable]").hidden = false;
    continue;
  }
  part.hidden = false;
  const button = part.querySelector("button");
  const failed = part.querySelector("[data-failed]");
  button.addEventListener("click", async () => {
    failed.hidden = true;
    button.disabled = true;
    try {
      await use(part);
    } catch {
      failed.hidden = false;
    } finally {
      button.disabled = false;
    }
  });
}
