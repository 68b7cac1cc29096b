// Who may import whom (docs/architecture.md). `npm run check` plants a violation and fails unless it is found.
const features = 'ingest|muxer|recorder|distributor|extractor|inference|media-control|control-api|transport';
const test = '\\.test\\.ts$|^test/|/testing[-/]';

export default {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: { pathNot: '^proto/gen/' }, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
    {
      name: 'core-imports-only-core', severity: 'error',
      from: { path: '^core/', pathNot: '\\.test\\.ts$' },
      to: { pathNot: '^core/', dependencyTypesNot: ['core'] },
    },
    {
      name: 'core-does-no-io', severity: 'error',
      from: { path: '^core/', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?(buffer|crypto)$' },
    },
    {
      name: 'platform-imports-core-config-proto', severity: 'error',
      from: { path: '^platform/', pathNot: test },
      to: { path: `^(${features}|processes|cli|web|bench|test)/` },
    },
    {
      name: 'config-imports-only-itself', severity: 'error',
      from: { path: '^config/', pathNot: '\\.test\\.ts$' },
      to: { path: `^(${features}|processes|cli|web|bench|test|platform)/` },
    },
    {
      name: 'features-meet-at-ports', severity: 'error',
      from: { path: `^(${features})/`, pathNot: test },
      to: { path: `^(${features})/`, pathNot: ['^$1/', '/port\\.ts$', '^transport/'] },
    },
    {
      name: 'transport-is-for-ingest-and-distributor', severity: 'error',
      from: { path: '^(muxer|recorder|extractor|inference|media-control|control-api)/', pathNot: test },
      to: { path: '^transport/', pathNot: '/port\\.ts$' },
    },
    {
      name: 'children-are-spawned-not-imported', severity: 'error',
      from: { pathNot: `(/child/|^processes/|${test})` },
      to: { path: '/child/' },
    },
    {
      name: 'workers-are-spawned-not-imported', severity: 'error',
      from: { pathNot: `(^inference/worker/|^processes/|${test})` },
      to: { path: '^inference/worker/' },
    },
    {
      name: 'resources-meet-at-services', severity: 'error',
      from: { path: '^control-api/([^/]+)/', pathNot: test },
      to: { path: '^control-api/([^/]+)/', pathNot: ['^control-api/$1/', '/service\\.ts$', '/permissions\\.ts$'] },
    },
    { name: 'nobody-imports-processes', severity: 'error', from: { pathNot: `(^processes/|^main\\.ts$|^cli/|^bench/|${test})` }, to: { path: '^processes/' } },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(web/dist|node_modules|data)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], extensions: ['.ts', '.tsx', '.mjs', '.js'], conditionNames: ['import', 'require', 'node', 'default'] },
  },
};
