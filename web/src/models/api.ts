/** The REST API of models as the page uses it. */
import { toApiError } from '../api-error.ts';
import { json, request } from '../http.ts';
import { accessToken, refreshAccess } from '../session.ts';

export interface Model {
  readonly name: string;
  readonly backend: 'onnx' | 'kserve';
  readonly state: 'loading' | 'ready' | 'failed';
  readonly failure: string | null;
  /** It may be deleted. */
  readonly added: boolean;
  readonly digest: string | null;
  readonly input: { readonly width: number; readonly height: number } | null;
  readonly labels: readonly string[];
  readonly default_confidence: number | null;
  readonly provider: { readonly name: string; readonly reason: string } | null;
  readonly batch: { readonly pictures: number; readonly reason: string } | null;
}

export interface ModelList {
  readonly items: readonly Model[];
  readonly default_model: string;
  readonly default_light: readonly string[];
  /** Of a file. */
  readonly max_bytes: number;
}

export interface TrialDetection {
  readonly class_name: string;
  readonly class_id: number;
  readonly confidence: number;
  /** Pixels of the picture. */
  readonly bbox: { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
}

/** What a model found in a picture. */
export interface Trial {
  readonly model_digest: string;
  readonly width: number;
  readonly height: number;
  readonly detections: readonly TrialDetection[];
  readonly times_ms: Readonly<Record<'waiting' | 'decode' | 'resize' | 'queue' | 'model' | 'total', number>>;
}

const pathOf = (name: string): string => `/v1/models/${encodeURIComponent(name)}`;
const matching = (digest: string | null): Record<string, string> => ({ 'if-match': digest === null ? '*' : `"${digest}"` });

export const modelsApi = {
  list: () => json<ModelList>('/v1/models'),
  /** Everything from `confidence` on. */
  attempt: async (name: string, picture: Blob, confidence: number, signal: AbortSignal): Promise<Trial> =>
    (await (await request(`${pathOf(name)}/try?confidence=${String(confidence)}`, { method: 'POST', headers: { 'content-type': picture.type }, body: picture, signal })).json()) as Trial,
  /** `replaces`: the model that has the name, if one has. `onProgress`: 0..1 of what has gone. */
  upload: async (name: string, file: Blob, replaces: Model | undefined, onProgress: (share: number) => void, signal: AbortSignal): Promise<{ readonly digest: string }> => {
    const headers = { 'content-type': 'application/octet-stream', ...(replaces ? matching(replaces.digest) : {}) };
    const token = accessToken();
    let answer = await put(pathOf(name), file, headers, onProgress, signal);
    if (answer.status === 401 && (await refreshAccess(token))) answer = await put(pathOf(name), file, headers, onProgress, signal);
    if (!answer.ok) throw await toApiError(answer);
    return (await answer.json()) as { readonly digest: string };
  },
  remove: async ({ name, backend, digest }: Model): Promise<void> => { await request(pathOf(name), { method: 'DELETE', headers: backend === 'onnx' ? matching(digest) : {} }); },
};

/** `fetch` does not tell how much of a body has gone. */
const put = (path: string, body: Blob, headers: Readonly<Record<string, string>>, onProgress: (share: number) => void, signal: AbortSignal): Promise<Response> =>
  new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const xhr = new XMLHttpRequest();
    xhr.open('PUT', path);
    for (const [name, value] of Object.entries({ ...headers, authorization: `Bearer ${accessToken() ?? ''}` })) xhr.setRequestHeader(name, value);
    xhr.upload.addEventListener('progress', ({ loaded, total }) => { onProgress(total > 0 ? loaded / total : 0); });
    xhr.addEventListener('load', () => { resolve(new Response(xhr.responseText, { status: xhr.status })); });
    xhr.addEventListener('error', () => { reject(new TypeError('no answer')); });
    xhr.addEventListener('abort', () => { reject(new DOMException('given up', 'AbortError')); });
    signal.addEventListener('abort', () => { xhr.abort(); }, { once: true });
    xhr.send(body);
  });
