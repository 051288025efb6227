// Lets the page come again without a network: kept.js, a service worker, keeps what it is made of.

const PATIENCE_MS = 5000;

/** Returns when what is loaded from now on is kept; at once where a browser cannot, such as without HTTPS. */
export async function keepForOffline() {
  const workers = navigator.serviceWorker;
  if (!workers || workers.controller) return;
  const controlled = new Promise((resolve) => workers.addEventListener("controllerchange", resolve, { once: true }));
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
  try {
    const { installing } = await workers.register(new URL("kept.js", import.meta.url));
    if (installing) await Promise.race([controlled, late]); // otherwise it is there, and the page was loaded past it
  } catch (error) {
    console.info(`This page needs a network when it is loaded again: ${error.message}`);
  }
}
