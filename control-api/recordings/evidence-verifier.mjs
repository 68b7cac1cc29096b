// Checks an export of recordings: that nothing in it was changed since, and who made it. Needs nothing but Node.js 18 or later.
//   node verify.mjs [--key <key id>]        in the folder the ZIP was unpacked into
// Ends with exit code 0 when everything is as it was exported, else 1, and names what is not.
import { Buffer } from 'node:buffer';
import { createHash, createPublicKey, verify } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = dirname(fileURLToPath(import.meta.url));
const wantedKey = process.argv[2] === '--key' ? process.argv[3] : undefined;
const UNSIGNED = new Set(['manifest.jws', 'manifest.json']);
const SIGNATURE_TYPE = '5e0d1f6b82c44a0e9b37d3c61f54a9e8';
const SIGNATURE_BOX = 124;
let failures = 0;
const fail = (what) => { failures++; console.log(`FAIL  ${what}`); };
const good = (what) => { console.log(`ok    ${what}`); };

/** SHA-256 of a file, and of all but its last 124 bytes, which it returns, too. */
const hashes = (path) => {
  const { size } = statSync(path);
  const cut = Math.max(0, size - SIGNATURE_BOX);
  const [whole, content] = [createHash('sha256'), createHash('sha256')];
  const tail = Buffer.alloc(size - cut);
  const piece = Buffer.alloc(1 << 20);
  const file = openSync(path, 'r');
  try {
    for (let at = 0; at < size;) {
      const end = at < cut ? Math.min(cut, at + piece.length) : size;
      const read = readSync(file, piece, 0, end - at, at);
      if (read === 0) throw new Error('became shorter while it was read');
      const bytes = piece.subarray(0, read);
      whole.update(bytes);
      if (at < cut) content.update(bytes);
      else bytes.copy(tail, at - cut);
      at += read;
    }
  } finally {
    closeSync(file);
  }
  return { size, sha256: whole.digest('hex'), content: content.digest('hex'), tail };
};

const filesBelow = (path) => readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? filesBelow(join(path, entry.name)) : [relative(folder, join(path, entry.name)).split(sep).join('/')]));

const key = createPublicKey(readFileSync(join(folder, 'public-key.pem')));
const { crv, x } = key.export({ format: 'jwk' });
const kid = createHash('sha256').update(`{"crv":"${crv}","kty":"OKP","x":"${x}"}`).digest('base64url');
if (wantedKey === undefined) console.log(`      the export says it was made with the key ${kid}: compare it with the one you were told`);
else if (wantedKey === kid) good(`the key is ${kid}`);
else fail(`public-key.pem: its key is ${kid}, not ${wantedKey}`);

const signed = (name) => {
  const [head = '', payload = '', signature = ''] = readFileSync(join(folder, name), 'utf8').trim().split('.');
  const header = JSON.parse(Buffer.from(head, 'base64url').toString());
  const right = header.alg === 'EdDSA' && header.kid === kid && verify(null, Buffer.from(`${head}.${payload}`), key, Buffer.from(signature, 'base64url'));
  if (!right) throw new Error('its signature is not that of the key');
  return Buffer.from(payload, 'base64url');
};

let manifest;
try {
  const payload = signed('manifest.jws');
  if (!payload.equals(readFileSync(join(folder, 'manifest.json')))) fail('manifest.json: is not what was signed');
  manifest = JSON.parse(payload.toString());
  good(`manifest signed: camera ${manifest.camera}, ${manifest.from} to ${manifest.to}, exported ${manifest.exported_at} by ${manifest.exported_by}`);
} catch (error) {
  fail(`manifest.jws: ${error.message}`);
}

const found = new Map();
for (const { name, bytes, sha256 } of manifest?.files ?? []) {
  try {
    const is = hashes(join(folder, name));
    found.set(name, is);
    if (is.size !== bytes) fail(`${name}: has ${is.size} bytes, not ${bytes}`);
    else if (is.sha256 !== sha256) fail(`${name}: its content was changed`);
    else good(name);
  } catch (error) {
    fail(`${name}: ${error.code === 'ENOENT' ? 'is missing' : error.message}`);
  }
}
const listed = new Set((manifest?.files ?? []).map(({ name }) => name));
for (const name of manifest ? filesBelow(folder) : []) if (!listed.has(name) && !UNSIGNED.has(name)) fail(`${name}: is not part of the export`);

let linked = 0;
const segments = manifest?.segments ?? [];
for (const [i, segment] of segments.entries()) {
  const file = found.get(segment.file);
  if (!file) continue;
  const { tail } = file;
  const isSigned = tail.length === SIGNATURE_BOX && tail.toString('hex', 8, 24) === SIGNATURE_TYPE;
  if (!isSigned) {
    if (segment.open) console.log(`note  ${segment.file}: was still being recorded, so the recorder had not signed it`);
    else console.log(`note  ${segment.file}: the recorder did not sign it (an older version, or its disk was full)`);
  } else if (tail.subarray(28, 60).toString('base64url') !== kid) console.log(`note  ${segment.file}: the recorder signed it with another key`);
  else if (!verify(null, Buffer.from(`imageflow-edge recording, SHA-256 ${file.content}\n`), key, tail.subarray(60))) fail(`${segment.file}: had been changed before it was exported: the recorder's signature does not fit`);
  if (segment.indexed_sha256 !== null && segment.indexed_sha256 !== file.sha256) fail(`${segment.file}: was not what the server's index said when it was exported`);
  if (i > 0 && segment.prev_sha256 !== null && segment.prev_sha256 === found.get(segments[i - 1].file)?.sha256) linked++;
}
if (segments.length > 1) console.log(`      ${linked} of ${segments.length - 1} recordings name the one before them here as the one they continue`);
if (manifest?.chain) {
  try {
    signed('chain.jws');
    good('chain.jws is signed: which recordings there were to be when it was exported');
  } catch (error) {
    fail(`chain.jws: ${error.message}`);
  }
}
console.log(failures === 0 ? 'Everything is as it was exported.' : `${failures} problems.`);
process.exitCode = failures === 0 ? 0 : 1;
