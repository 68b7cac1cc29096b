/** Requests whose bodies are no JSON: their routes read them as they come, within bounds of their own. */

/** `picture`: a few megabytes, at once; `model`: as large as a model may be, and it may take an hour. */
export type OwnBody = 'picture' | 'model';

const MODEL = /^(?:\/api)?\/v1\/models\/[^/?]+(\/try)?(?:\?.*)?$/;

/** Null: the body is JSON, or none. `url`: path, with or without its query. */
export const ownBodyOf = (method: string, url: string): OwnBody | null => {
  const model = MODEL.exec(url);
  if (model === null) return null;
  if (method === 'POST' && model[1] !== undefined) return 'picture';
  return method === 'PUT' && model[1] === undefined ? 'model' : null;
};
