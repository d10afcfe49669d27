(() => {
  "use strict";
  // What is waited for is asked for again in the page's own place; where it is over, the page is
  // loaded anew and leads on.
  const look = async () => {
    try {
      const headers = { accept: "text/html" };
      const answer = await fetch(location.href, { headers, redirect: "manual" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const now = page.querySelector("main[data-waits]");
      if (!now) return location.reload();
      document.querySelector("main").innerHTML = now.innerHTML;
    } catch {
      // The next look may find somebody.
    }
    setTimeout(look, 2000);
  };
  setTimeout(look, 2000);
})();
