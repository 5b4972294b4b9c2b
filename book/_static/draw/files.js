/* Fetch the page's data, from a server or from a folder. */

(function () {
  "use strict";
  const book = (window.digitsBook = window.digitsBook || {});
  const folder = new URL(".", document.currentScript.src);

  /* A page opened from a folder (file://) may run scripts but not fetch data. For it, the same bytes lie in
     a script, as text; the site's build writes it. */
  async function loadBytes(name) {
    if (location.protocol.startsWith("http")) {
      const answer = await fetch(new URL(name, folder));
      if (!answer.ok) throw new Error(`${name}: the server answered ${answer.status}`);
      return answer.arrayBuffer();
    }
    await new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = new URL(`${name}.js`, folder);
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${name}.js is missing`));
      document.head.append(script);
    });
    return Uint8Array.from(atob(book.offlineData[name]), (letter) => letter.charCodeAt(0)).buffer;
  }

  function loadPicture(name) {
    return new Promise((resolve, reject) => {
      const picture = new Image();
      picture.onload = () => resolve(picture);
      picture.onerror = () => reject(new Error(`${name} is missing`));
      picture.src = new URL(name, folder);
    });
  }

  Object.assign(book, { loadBytes, loadPicture });
})();
