// Caches the whole page, so that it opens offline. The build fills in the two constants.

const FILES = __FILES__;
const OURS = `digits ${new URL(self.registration.scope).pathname} `; // other copies on this host have their own
const KEPT = OURS + __VERSION__;
const NAMED_BY_CONTENT = /\/assets\//; // such a file never changes

self.addEventListener("install", (event) => {
  const fresh = FILES.map((file) => new Request(file, { cache: "no-cache" })); // asks whether it has changed
  event.waitUntil(caches.open(KEPT).then((cache) => cache.addAll(fresh)));
});

self.addEventListener("activate", (event) => {
  const drop = async () => {
    for (const name of await caches.keys()) if (name.startsWith(OURS) && name !== KEPT) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(drop());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== self.location.origin) return;
  event.respondWith(NAMED_BY_CONTENT.test(request.url) ? keptFirst(request) : newestFirst(request));
});

async function keptFirst(request) {
  return (await caches.match(request)) ?? fetch(request);
}

/** A new build of the page or the model is used at once; offline, the cached one is used. */
async function newestFirst(request) {
  try {
    return await fetch(request, { cache: "no-cache" });
  } catch (error) {
    const kept = await caches.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}
