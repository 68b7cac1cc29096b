import { z } from '@hono/zod-openapi';

export const Username = z.string().regex(/^[\p{L}\p{N}][\p{L}\p{N}._@-]{0,63}$/u, 'up to 64 letters, digits, . _ @ -');
export const NewPassword = z.string().min(8).max(1024);
