import type { Milliseconds } from '../../core/units.ts';
import { timestamp } from '../schemas.ts';

/** What lies beside the recordings in an export, and how to check it without this server. */
export const evidenceReadme = ({ camera, from, to, kid }: { readonly camera: string; readonly from: Milliseconds; readonly to: Milliseconds; readonly kid: string }): string => `Recordings of camera ${camera}, ${timestamp(from)} to ${timestamp(to)}

recording.mp4      the range as one file, not re-encoded; plays everywhere
segments/          the recorded files it was made from, as they lie on the server
detections.jsonl   what was detected in the range, one JSON object a line
manifest.json      what was exported, when and by whom; SHA-256 of every file
manifest.jws       the same, signed (JWS, EdDSA / Ed25519)
chain.jws          which recordings there were to be on the server, signed
public-key.pem     the key of the server that recorded and exported this
SHA256SUMS         for sha256sum

To check it, with Node.js 18 or later, in the folder this was unpacked into:

    node verify.mjs --key ${kid}

The key id must be the one you were told by the server's owner ("imageflow-edge record key"), not only the one written here: whoever changes a
recording can sign the changed one with a key of his own.

With openssl 3 and coreutils instead:

    cut -d. -f1,2 manifest.jws | tr -d '\\n' > /tmp/signed
    { cut -d. -f3 manifest.jws | tr -d '\\n' | tr '_-' '/+'; printf '=='; } | base64 -d > /tmp/signature
    openssl pkeyutl -verify -pubin -inkey public-key.pem -rawin -in /tmp/signed -sigfile /tmp/signature
    sha256sum -c SHA256SUMS

and compare the SHA-256 of SHA256SUMS with the one in manifest.json, and manifest.json with the second part of manifest.jws (base64url).
Each file in segments/ also carries the recorder's own signature in its last 124 bytes: a "uuid" box with 64 bytes of Ed25519 at its end, over the
text "imageflow-edge recording, SHA-256 <hex of the file without these 124 bytes>" and a newline.
`;
