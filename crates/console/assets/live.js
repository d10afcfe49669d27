(() => {
  "use strict";
  const fetched = async (path) => {
    const answer = await fetch(path, { headers: { "x-fragment": "1" }, redirect: "error" });
    if (answer.status === 401) location.reload();
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.text();
  };
  // What is under way is asked for again each second; what one has unfolded stays so.
  const follow = (box) => {
    let shown = "";
    const later = () => {
      if (box.querySelector("[data-going]")) setTimeout(step, 1000);
    };
    const step = async () => {
      const text = document.hidden ? shown : await fetched(box.dataset.live).catch(() => shown);
      if (text !== shown) {
        const open = [...box.querySelectorAll("details[id][open]")].map((part) => part.id);
        box.innerHTML = shown = text;
        for (const id of open) document.getElementById(id)?.setAttribute("open", "");
      }
      later();
    };
    later();
  };
  document.querySelectorAll("[data-live]").forEach(follow);
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
