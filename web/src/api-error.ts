/** What went wrong, in the server's words. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The error that an answer other than 2xx tells of (problem+json, or its status alone). */
export const toApiError = async (response: Response): Promise<ApiError> => {
  const body = (await response.json().catch(() => ({}))) as { detail?: string; title?: string; code?: string };
  return new ApiError(response.status, body.code ?? '', body.detail ?? body.title ?? `The server answered ${response.status}.`);
};

/** In words for the page; `fetch` itself says only "Failed to fetch" when nothing answers. */
export const inWords = (error: unknown): string => {
  if (error instanceof TypeError) return 'The server does not answer.';
  return error instanceof Error ? error.message : String(error);
};
