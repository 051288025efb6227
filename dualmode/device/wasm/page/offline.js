// Lets the page come again without a network: kept.js, a service worker, keeps what it is made of.

/** Returns when what is loaded from now on is kept; at once where a browser cannot, such as without HTTPS. */
export async function keepForOffline() {
  const workers = navigator.serviceWorker;
  if (!workers || workers.controller) return;
  try {
    const { installing } = await workers.register(new URL("kept.js", import.meta.url));
    await (installing && settled(installing)); // else it is there, and the page was loaded past it
  } catch (error) {
    console.info(`This page needs a network when it is loaded again: ${error.message}`);
  }
}

function settled(worker) {
  return new Promise((resolve) => {
    const look = () => ["activated", "redundant"].includes(worker.state) && resolve();
    worker.addEventListener("statechange", look);
    look();
  });
}
