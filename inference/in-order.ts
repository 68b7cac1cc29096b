/** The turn of one picture of a line. */
export interface Turn {
  /** The picture has its answer: `deliver` runs when all before it in its line have theirs. Without it, it has none and nobody waits for it. Once only. */
  settle(deliver?: () => void): void;
}

/** A turn that is not settled has neither. */
interface Waiting { settled: boolean; deliver: (() => void) | undefined }

/**
 * Answers of several workers in the order in which their pictures were sent, line by line (a line is one detector of a camera):
 * neither a tracker nor a viewer sees time go back because one worker is faster than another.
 */
export class InOrder {
  readonly #lines = new Map<string, Waiting[]>();

  /** At the end of the line of this name. */
  enter(name: string): Turn {
    let line = this.#lines.get(name);
    if (!line) this.#lines.set(name, (line = []));
    const turn: Waiting = { settled: false, deliver: undefined };
    line.push(turn);
    return {
      settle: (deliver) => {
        if (turn.settled) return;
        turn.settled = true;
        turn.deliver = deliver;
        this.#advance(name);
      },
    };
  }

  #advance(name: string): void {
    const line = this.#lines.get(name);
    while (line?.[0]?.settled) {
      const turn = line.shift();
      // Before its answer is told: whoever hears it may send the next picture.
      if (line.length === 0) this.#lines.delete(name);
      turn?.deliver?.();
    }
  }
}
