// Looks at each frame when it is there and writes what it saw, as base64 of JSON, into the page.
const seen = [];

function look(frame) {
  const page = frame.contentDocument;
  const shown = element => element.getClientRects().length > 0;
  for (const details of page.querySelectorAll("details")) details.open = true;
  const width = page.documentElement.clientWidth;
  const outside = [];
  for (const element of page.body.querySelectorAll("*")) {
    if (element.closest("svg, .scroll *, .unseen") || !shown(element)) continue;
    if (element.getBoundingClientRect().right > width + 1) outside.push(element.outerHTML.slice(0, 200));
  }
  const overlaps = [];
  const plots = [];
  for (const figure of page.querySelectorAll("figure.plot")) {
    const drawings = [...figure.querySelectorAll("svg")].filter(shown);
    for (const drawing of drawings) {
      const frame = drawing.getBoundingClientRect();
      const texts = [...drawing.querySelectorAll("text")];
      const boxes = texts.map(text => text.getBoundingClientRect());
      boxes.forEach((box, index) => {
        const inside = box.left >= frame.left - 1 && box.right <= frame.right + 1
          && box.top >= frame.top - 1 && box.bottom <= frame.bottom + 1;
        if (!inside) outside.push(figure.id + ": " + texts[index].textContent);
        for (let other = 0; other < index; other++) {
          const apart = box.right <= boxes[other].left || boxes[other].right <= box.left
            || box.bottom <= boxes[other].top + 1 || boxes[other].bottom <= box.top + 1;
          if (!apart) overlaps.push(figure.id + ": " + texts[other].textContent + " / " + texts[index].textContent);
        }
      });
    }
    const points = series => series.querySelectorAll("circle, rect").length;
    plots.push({
      id: figure.id,
      drawings: drawings.length,
      points: drawings.flatMap(drawing => [...drawing.querySelectorAll(".series")].map(points)),
      titles: drawings.flatMap(drawing => [...drawing.querySelectorAll(".series title")]).length,
      rows: figure.querySelectorAll("tbody tr").length,
    });
  }
  seen.push({
    width,
    scripts: page.querySelectorAll("script, [onload], [onerror], [onclick], iframe, object, link").length,
    scrolls: page.documentElement.scrollWidth > width,
    outside, overlaps, plots,
    requests: frame.contentWindow.performance.getEntriesByType("resource").map(entry => entry.name),
  });
}

window.addEventListener("load", () => {
  for (const frame of document.querySelectorAll("iframe")) look(frame);
  const text = unescape(encodeURIComponent(JSON.stringify(seen)));
  document.getElementById("seen").textContent = btoa(text);
});
