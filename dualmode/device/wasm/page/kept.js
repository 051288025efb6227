// A service worker: gives the page, its engine and its model where the network does not.
//
// The page and the engine are kept as one, anew after each visit; a model when it is loaded, the newest of each place.

const KEPT = "dualmode";
const PAGE = ["./", "page.css", "page.js", "offline.js", "server.js", "session.js", "differences.js", "capture.js", "worker.js"];
const ENGINE = ["../engine.js", "../wasm.js", "../dualmode.wasm"];
const PATHS = [...PAGE, ...ENGINE].map((name) => new URL(name, location.href).pathname);

/** Keeps page and engine, all of them or what was there before. */
async function keepPage() {
  const files = await Promise.all([...PAGE, ...ENGINE].map(async (name) => [name, await fetch(name)]));
  if (!files.every(([, response]) => response.ok)) throw new Error("the page cannot be kept: a file of it is missing");
  const kept = await caches.open(KEPT);
  await Promise.all(files.map(([name, response]) => kept.put(name, response)));
}

async function keepModel(url, response) {
  const kept = await caches.open(KEPT);
  const older = (await kept.keys()).filter((one) => new URL(one.url).pathname === new URL(url).pathname);
  await Promise.all(older.map((one) => kept.delete(one)));
  await kept.put(url, response);
}

async function kept(request) {
  return (await caches.open(KEPT)).match(request, { ignoreVary: true });
}

async function answer(event, older, keep) {
  try {
    const response = await fetch(event.request);
    if (response.ok && keep) event.waitUntil(keep(response.clone()).catch((error) => console.info(`Not kept: ${error.message}`)));
    return response;
  } catch (error) {
    const found = await older().catch(() => null);
    if (found) return found;
    throw error;
  }
}

oninstall = (event) => {
  skipWaiting();
  event.waitUntil(keepPage());
};
onactivate = (event) => event.waitUntil(clients.claim());
onfetch = (event) => {
  const { method, mode, url } = event.request;
  const { origin, pathname } = new URL(url);
  if (method !== "GET" || origin !== location.origin) return;
  if (mode === "navigate") event.respondWith(answer(event, () => kept("./"), keepPage));
  else if (PATHS.includes(pathname)) event.respondWith(answer(event, () => kept(url), null));
  else if (pathname.endsWith(".dmdl")) event.respondWith(answer(event, () => kept(url), (response) => keepModel(url, response)));
};
