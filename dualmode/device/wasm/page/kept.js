// A service worker: keeps the page, its engine and models, and gives them where there is no network; a network's are newer.

const KEPT = "dualmode";
const PAGE = ["./", "page.css", "page.js", "offline.js", "server.js", "session.js", "differences.js", "capture.js", "worker.js"];
const ENGINE = ["../engine.js", "../wasm.js", "../dualmode.wasm"];

const PATHS = [...PAGE, ...ENGINE].map((name) => new URL(name, location.href).pathname);

const isKept = ({ method, mode, url }) => {
  const { origin, pathname } = new URL(url);
  const wanted = mode === "navigate" || PATHS.includes(pathname) || pathname.endsWith(".dmdl");
  return method === "GET" && origin === location.origin && wanted;
};

async function newest(request) {
  const kept = await caches.open(KEPT);
  try {
    const response = await fetch(request);
    if (response.ok) await kept.put(request, response.clone());
    return response;
  } catch (error) {
    const any = { ignoreSearch: true, ignoreVary: true };
    const older = (await kept.match(request, any)) ?? (request.mode === "navigate" && (await kept.match("./")));
    if (older) return older;
    throw error;
  }
}

oninstall = (event) => {
  skipWaiting();
  event.waitUntil(caches.open(KEPT).then((kept) => kept.addAll([...PAGE, ...ENGINE])));
};
onactivate = (event) => event.waitUntil(clients.claim());
onfetch = (event) => {
  if (isKept(event.request)) event.respondWith(newest(event.request));
};
