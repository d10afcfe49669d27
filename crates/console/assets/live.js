(() => {
  "use strict";
  const fetched = async (path) => {
    const answer = await fetch(path, { headers: { "x-fragment": "1" }, redirect: "error" });
    if (answer.status === 401) location.reload();
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.text();
  };
  const parsed = (text) => new DOMParser().parseFromString(text, "text/html");
  // What is under way is asked for again each second while one looks at it, and anything once when
  // one comes back to it; what one has unfolded stays so.
  const follow = (box) => {
    const path = box.dataset.live;
    let shown = box.innerHTML;
    let timer = 0;
    const later = () => {
      clearTimeout(timer);
      if (box.querySelector("[data-going]")) timer = setTimeout(step, 1000);
    };
    const step = async () => {
      if (document.hidden) return;
      const page = parsed(await fetched(path).catch(() => ""));
      const now = [...page.querySelectorAll("[data-live]")].find((it) => it.dataset.live === path);
      if (now && now.innerHTML !== shown) {
        const open = [...box.querySelectorAll("details[id][open]")].map((part) => part.id);
        box.innerHTML = shown = now.innerHTML;
        for (const id of open) document.getElementById(id)?.setAttribute("open", "");
      }
      later();
    };
    document.addEventListener("visibilitychange", step);
    later();
  };
  document.querySelectorAll("[data-live]").forEach(follow);
  // The prices of what is chosen, without a button.
  document.querySelectorAll("[data-choices]").forEach((box) => {
    const names = box.dataset.choices.split(" ");
    let turn = 0;
    box.addEventListener("change", async () => {
      const mine = ++turn;
      const fields = [...new FormData(box.querySelector("form"))];
      const chosen = new URLSearchParams(fields.filter(([name]) => names.includes(name)));
      const page = parsed(await fetched(`${location.pathname}?${chosen}`).catch(() => ""));
      if (mine !== turn) return;
      for (const part of document.querySelectorAll("[data-price]")) {
        const price = page.getElementById(part.id);
        if (price) part.innerHTML = price.innerHTML;
      }
    });
  });
  // An explanation is asked for when it is unfolded for the first time.
  document.querySelectorAll("details[data-load]").forEach((part) => {
    const load = async () => {
      const path = part.dataset.load;
      const place = part.querySelector("[data-place]");
      if (!part.open || !path || !place) return;
      delete part.dataset.load;
      try {
        place.innerHTML = await fetched(path);
      } catch {
        part.dataset.load = path;
      }
    };
    part.addEventListener("toggle", load);
    load();
  });
})();
