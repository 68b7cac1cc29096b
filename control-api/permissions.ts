/** Roles of seed 001 §6.1.2, exactly, extended by spec 2.4. */
export const PERMISSIONS = [
  'pipeline:execute', 'pipeline:view', 'product:search', 'inspection:create', 'inspection:view',
  'stream:publish', 'stream:view', 'recording:view', 'recording:manage', 'detection:view', 'camera:manage', 'model:manage', 'user:manage', 'audit:view',
] as const;
export type Permission = (typeof PERMISSIONS)[number];

export const ROLES = ['admin', 'operator', 'viewer'] as const;
export type Role = (typeof ROLES)[number];

const OF_ROLE: Readonly<Record<Role, readonly (Permission | '*')[]>> = {
  admin: ['*'],
  operator: [
    'pipeline:execute', 'pipeline:view', 'product:search', 'inspection:create',
    'stream:publish', 'stream:view', 'recording:view', 'recording:manage', 'detection:view',
  ],
  viewer: ['pipeline:view', 'product:search', 'inspection:view', 'stream:view', 'recording:view', 'detection:view'],
};

/** What a role may; nothing for a role this version does not know. */
export const permissionsOf = (role: string): readonly string[] => (Object.hasOwn(OF_ROLE, role) ? OF_ROLE[role as Role] : []);

/** Whether a list of permissions grants `permission`; `*` grants all. */
export const may = (permissions: readonly string[], permission: Permission): boolean => permissions.includes('*') || permissions.includes(permission);
