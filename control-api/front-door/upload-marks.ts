/** Marks the range of an upload with what its query says of it: product, work order, tags. The edge has the file, marks are here. */
import * as z from 'zod';
import { MediaError, isUnavailable } from '../../core/errors.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import { markView, uploadMarkOf } from '../marks/service.ts';
import type { MarkService } from '../marks/service.ts';
import type { Authenticator } from '../guard.ts';

export interface UploadMarksOptions {
  readonly marks: MarkService;
  readonly auth: Authenticator;
  readonly audit: { record(entry: { readonly principal: string; readonly action: string; readonly target: string; readonly detail: Readonly<Record<string, unknown>> }): void };
}

/** What the edge answers. */
const Report = z.looseObject({ from: z.iso.datetime(), to: z.iso.datetime() });
/** Who a camera's key is: nobody by name. */
const DEVICE = 'device';

/** Makes the edge's answer the client's. */
type AnswerUpload = (body: unknown) => Promise<unknown>;

export class UploadMarks {
  readonly #options: UploadMarksOptions;

  constructor(options: UploadMarksOptions) {
    this.#options = options;
  }

  /**
   * What to do with the edge's answer, once it has taken the file; undefined: the upload says nothing of its range. Throws ValidationError before anything
   * is sent. The answer's promise throws UNAVAILABLE when there is no database: the file is recorded then, and sending it again marks it.
   */
  answerOf(camera: CameraId, query: URLSearchParams, credential: string | null): AnswerUpload | undefined {
    const mark = uploadMarkOf(query);
    if (mark === null) return undefined;
    return async (body) => {
      const { marks, audit } = this.#options;
      const report = Report.parse(body);
      const range = { from: Date.parse(report.from), to: Math.max(Date.parse(report.to), Date.parse(report.from) + 1) };
      const principal = await this.#nameOf(credential);
      const { mark: made, created } = await marks.ensure(camera, { ...mark, ...range }, principal);
      const shown = markView(made);
      if (created) audit.record({ principal, action: 'mark:create', target: made.id, detail: { camera, kind: shown.kind, from: shown.from, to: shown.to, archive: shown.archive, upload: true } });
      return { ...report, mark: shown };
    };
  }

  /** The edge has let it in: who is no user is the camera's own key. */
  async #nameOf(credential: string | null): Promise<string> {
    try {
      return credential === null ? DEVICE : (await this.#options.auth.authenticate(credential)).username;
    } catch (error) {
      if (error instanceof MediaError && !isUnavailable(error)) return DEVICE;
      throw error;
    }
  }
}
