/** What is drawn of a detection: a box in pixels of the picture it was found in, and what its label says. */
export interface DrawnBox {
  readonly className: string;
  readonly classId: number;
  /** 0..1 */
  readonly confidence: number;
  /** Which object it is; null: nobody says. */
  readonly trackId: string | null;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}
