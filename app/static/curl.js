// What the page has just done, as commands for a POSIX shell.

// Characters of a value that goes in by standard input: Linux takes 131,072 bytes an argument, three a character.
const LONG = 40_000;

/** Returns the word as a shell takes it literally. */
export function quoted(word) {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Returns the commands that send these images with these fields, after those that fetch the samples among them. */
export function commands(images, fields, { base, keyed }) {
  const folder = "samples";
  const fetches = images.filter(({ path }) => path).map(({ path, file }) =>
    `curl -sS --create-dirs -o ${quoted(`${folder}/${file.name}`)} ${quoted(new URL(path, base).href)}`);
  const [name, path] = images.length > 1 ? ["images", "classify/batch"] : ["image", "classify"];
  const files = images.map(({ path, file }) =>
    `-F ${quoted(`${name}=@${fileName(path ? `${folder}/${file.name}` : file.name)}`)}`);
  const long = fields.find(([, value]) => value.length > LONG);
  const texts = fields.map(([name, value]) =>
    value === long?.[1] ? `-F ${quoted(`${name}=<-`)}` : `--form-string ${quoted(`${name}=${value}`)}`);
  const words = [
    ...(keyed ? ['-H "Authorization: Bearer $API_KEY"'] : []),
    ...files,
    ...texts,
    quoted(new URL(path, base).href) + (long ? " <<'END'" : ""),
  ];
  const ask = `curl -sS ${words.join(" \\\n  ")}`;
  return [...fetches, long ? `${ask}\n${long[1]}\nEND` : ask].join("\n");
}

/** Returns a file's name as curl reads it after the @: some characters in it would end it. */
function fileName(name) {
  const own = name.startsWith("-") ? `./${name}` : name;
  return /[",;\\]|^\s|\s$/.test(own) ? `"${own.replace(/["\\]/g, "\\$&")}"` : own;
}
