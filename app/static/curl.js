// The requests that the page has sent, as curl commands for a POSIX shell.

// A longer value is passed on standard input: Linux allows 131,072 bytes per argument, and a character has up to three.
const MAX_ARGUMENT_CHARACTERS = 40_000;

/** Returns the word, quoted for a shell. */
function quoted(word) {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Returns the commands that send each group of images with these fields. */
export function curlCommands(groups, fields, options) {
  return groups.map((images) => commands(images, fields, options)).join("\n");
}

/** Returns the commands that download the samples among the images, then send the images. */
function commands(images, fields, { base, withKey }) {
  const folder = "samples";
  const fetches = images.filter(({ path }) => path).map(({ path, file }) =>
    `curl -sS --create-dirs -o ${quoted(`${folder}/${file.name}`)} ${quoted(new URL(path, base).href)}`);
  const [name, path] = images.length > 1 ? ["images", "classify/batch"] : ["image", "classify"];
  const files = images.map(({ path, file, name: chosen }) =>
    `-F ${quoted(`${name}=@${fileName(path ? `${folder}/${file.name}` : chosen)}`)}`);
  const long = fields.find(([, value]) => value.length > MAX_ARGUMENT_CHARACTERS);
  const texts = fields.map(([name, value]) =>
    value === long?.[1] ? `-F ${quoted(`${name}=<-`)}` : `--form-string ${quoted(`${name}=${value}`)}`);
  const words = [
    ...(withKey ? ['-H "X-API-Key: $API_KEY"'] : []),
    ...files,
    ...texts,
    quoted(new URL(path, base).href) + (long ? " <<'END'" : ""),
  ];
  const ask = `curl -sS ${words.join(" \\\n  ")}`;
  return [...fetches, long ? `${ask}\n${long[1]}\nEND` : ask].join("\n");
}

/** Returns a file name for curl's @ syntax, quoted if it contains characters that end the name there. */
function fileName(name) {
  const path = name.startsWith("-") ? `./${name}` : name;
  return /[",;\\]|^\s|\s$/.test(path) ? `"${path.replace(/["\\]/g, "\\$&")}"` : path;
}
