// Lint rules: typescript-eslint's strict set for TypeScript, ESLint's own for the scripts.
import js from '@eslint/js';
import globals from 'globals';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist/', 'build/', 'node_modules/', 'docs/', 'output/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-type-parameters': 'off', // a cast at the border to plain JavaScript is named once
      '@typescript-eslint/no-misused-spread': ['error', { allow: ['string'] }],
    },
  },
  // What people read goes through lib/commands/terminal.ts, which lets nothing hidden through.
  { files: ['lib/**/*.ts'], ignores: ['lib/commands/terminal.ts'], rules: { 'no-console': 'error' } },
  { files: ['test/**/*.ts', 'bench/**/*.ts'], rules: { '@typescript-eslint/no-floating-promises': 'off' } },
  { files: ['scripts/**/*.js', 'setup/**/*.js', '**/*.cjs'], languageOptions: { sourceType: 'commonjs', globals: globals.node } },
);
