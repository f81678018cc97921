// Search in the documentation: the index is one file of this site, read when the search field is first used.
(() => {
  const form = document.querySelector(".find");
  const field = document.getElementById("find");
  const found = document.getElementById("found");
  const article = document.querySelector("article");
  if (!form) return;
  const root = document.body.dataset.root;
  const status = found.querySelector("[role=status]");
  const list = found.querySelector("ol");
  const most = 25;
  let index = null;
  form.hidden = false;

  const load = () => (index ??= fetch(`${root}search.json`).then((answer) => {
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return answer.json();
  }));

  // Every word must be in the section, its heading or its page's title. A heading counts more than text.
  const score = (words, title, heading, text) => {
    let sum = 0;
    for (const word of words) {
      const points = (heading.includes(word) ? 8 : 0) + (title.includes(word) ? 4 : 0) + (text.includes(word) ? 1 : 0);
      if (!points) return 0;
      sum += points;
    }
    return sum;
  };

  const search = (pages, words) => {
    const hits = [];
    for (const [address, title, sections] of pages) {
      for (const [anchor, heading, text] of sections) {
        const points = score(words, title.toLowerCase(), heading.toLowerCase(), text.toLowerCase());
        if (points) hits.push({ points, address, anchor, title, heading, text });
      }
    }
    return hits.sort((a, b) => b.points - a.points);
  };

  const excerpt = (text, words) => {
    const places = words.map((word) => text.toLowerCase().indexOf(word)).filter((place) => place >= 0);
    const start = Math.max(0, Math.min(...places, text.length) - 60);
    return (start ? "… " : "") + text.slice(start, start + 200) + (start + 200 < text.length ? " …" : "");
  };

  const marked = (text, words) => {
    const line = document.createElement("p");
    let rest = text;
    while (rest) {
      const places = words.map((word) => [rest.toLowerCase().indexOf(word), word]).filter(([place]) => place >= 0);
      if (!places.length) break;
      const [place, word] = places.sort((a, b) => a[0] - b[0])[0];
      const mark = document.createElement("mark");
      mark.textContent = rest.slice(place, place + word.length);
      line.append(rest.slice(0, place), mark);
      rest = rest.slice(place + word.length);
    }
    line.append(rest);
    return line;
  };

  const show = (hits, words) => {
    list.replaceChildren(...hits.slice(0, most).map((hit) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = `${root}${hit.address}${hit.anchor ? `#${hit.anchor}` : ""}`;
      link.textContent = hit.heading && hit.heading !== hit.title ? `${hit.title}: ${hit.heading}` : hit.title;
      link.addEventListener("click", close);
      item.append(link, marked(excerpt(hit.text, words), words));
      return item;
    }));
    const more = hits.length > most ? `; the first ${most} are shown` : "";
    status.textContent = hits.length
      ? `${hits.length} ${hits.length === 1 ? "section" : "sections"} found${more}`
      : "Nothing found. All words must be in one section: try fewer words.";
    found.hidden = false;
    article.hidden = true;
  };

  const close = () => {
    found.hidden = true;
    article.hidden = false;
  };

  const run = async () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return close();
    try {
      show(search(await load(), words), words);
    } catch (error) {
      index = null;
      list.replaceChildren();
      status.textContent = `The search index could not be read (${error.message}). The contents list all pages.`;
      found.hidden = false;
    }
  };

  field.addEventListener("input", run);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    list.querySelector("a")?.focus();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      field.focus();
    } else if (event.key === "Escape" && !found.hidden) {
      field.value = "";
      close();
      field.focus();
    }
  });
})();
