// Keeps the whole page, so that it opens with the network off. The build fills in the two constants.

const FILES = __FILES__;
const OURS = `digits ${new URL(self.registration.scope).pathname} `; // another copy on this host has its own
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

/** A page or a model that has been built anew is seen at once; without a network it is the one that was kept. */
async function newestFirst(request) {
  try {
    return await fetch(request, { cache: "no-cache" });
  } catch (error) {
    const kept = await caches.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}
