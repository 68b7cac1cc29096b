import type { DesiredState, DesiredStateSource } from '../../../control-api/desired-state/service.ts';

/** A desired state that tests set. */
export class SettableDesiredState implements DesiredStateSource {
  #state: DesiredState = { version: 'v0', cameras: [], keys: [], tokenKeys: [], revokedTokens: [], kept: [] };
  readonly #listeners = new Set<(state: DesiredState) => void>();

  current(): DesiredState { return this.#state; }
  onChange(listener: (state: DesiredState) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }
  refresh(): Promise<void> { return Promise.resolve(); }
  resolveCamera(): Promise<undefined> { return Promise.resolve(undefined); }
  set(state: DesiredState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }
}
