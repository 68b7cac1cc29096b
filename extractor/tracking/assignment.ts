/**
 * The optimal assignment of rows to columns: shortest augmenting paths with potentials, the algorithm of Jonker and Volgenant in the form of
 * D. F. Crouse, "On implementing 2D rectangular assignment algorithms", IEEE Transactions on Aerospace and Electronic Systems 52 (2016).
 */

/** Costs of assigning rows to columns, row by row; finite numbers. */
export interface CostMatrix {
  readonly rows: number;
  readonly columns: number;
  /** `rows × columns` values. */
  readonly costs: Float64Array;
}

/** No partner. */
export const UNASSIGNED = -1;

/**
 * For each row its column, or `UNASSIGNED`. Every row or every column, whichever are fewer, has a partner, and the sum of costs is the least there is.
 * O(n² m) for n ≤ m: the caller bounds both.
 */
export const assign = ({ rows, columns, costs }: CostMatrix): Int32Array => {
  if (rows <= columns) return solve(rows, columns, costs);
  const transposed = new Float64Array(costs.length);
  for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) transposed[column * rows + row] = costs[row * columns + column] ?? 0;
  const ofColumns = solve(columns, rows, transposed);
  const ofRows = new Int32Array(rows).fill(UNASSIGNED);
  for (let column = 0; column < columns; column++) ofRows[ofColumns[column] ?? 0] = column;
  return ofRows;
};

/** `rows` ≤ `columns`. */
const solve = (rows: number, columns: number, costs: Float64Array): Int32Array => {
  const columnOf = new Int32Array(rows).fill(UNASSIGNED);
  const rowOf = new Int32Array(columns).fill(UNASSIGNED);
  const rowPotential = new Float64Array(rows);
  const columnPotential = new Float64Array(columns);
  const distance = new Float64Array(columns);
  const before = new Int32Array(columns); // the row from which the shortest path reaches a column
  const reached = new Uint8Array(columns);
  for (let start = 0; start < rows; start++) {
    distance.fill(Infinity);
    reached.fill(0);
    let row = start;
    let shortest = 0;
    let end = UNASSIGNED;
    while (end === UNASSIGNED) {
      let nearest = UNASSIGNED;
      let least = Infinity;
      const offset = row * columns;
      const known = shortest - (rowPotential[row] ?? 0);
      for (let column = 0; column < columns; column++) {
        if (reached[column] === 1) continue;
        const through = known + (costs[offset + column] ?? 0) - (columnPotential[column] ?? 0);
        if (through < (distance[column] ?? 0)) {
          distance[column] = through;
          before[column] = row;
        }
        // Of equals one that is free ends the path.
        const there = distance[column] ?? 0;
        if (there < least || (there === least && rowOf[column] === UNASSIGNED)) {
          least = there;
          nearest = column;
        }
      }
      shortest = least;
      reached[nearest] = 1;
      const next = rowOf[nearest] ?? UNASSIGNED;
      if (next === UNASSIGNED) end = nearest;
      else row = next;
    }
    rowPotential[start] = (rowPotential[start] ?? 0) + shortest;
    for (let column = 0; column < columns; column++) {
      if (reached[column] !== 1) continue;
      const surplus = shortest - (distance[column] ?? 0);
      columnPotential[column] = (columnPotential[column] ?? 0) - surplus;
      const partner = rowOf[column] ?? UNASSIGNED;
      if (partner !== UNASSIGNED) rowPotential[partner] = (rowPotential[partner] ?? 0) + surplus;
    }
    for (let column = end; ;) {
      const from = before[column] ?? 0;
      rowOf[column] = from;
      const freed = columnOf[from] ?? UNASSIGNED;
      columnOf[from] = column;
      if (from === start) break;
      column = freed;
    }
  }
  return columnOf;
};
