// One term under a bound that rises: units.rising_term. The word moves to the bound with the term, and the
// term is added there. Without registers.
module rising_term #(
    parameter int SUM_BITS   = 22,
    parameter int GUARD_BITS = 8,
    parameter int MAX_SHIFT  = 31,
    parameter int ROUNDING   = 2,
    parameter int BITS       = 32,    // of the accumulator
    parameter bit SATURATING = 1'b1,
    parameter int E          = 8,     // bits of an exponent
    parameter int BOUND      = 10,    // of a bound
    parameter int FRACTION   = 0      // bits of the term below its binary point
) (
    input  logic signed     [BITS-1:0] word,
    input  logic signed    [BOUND-1:0] bound,
    input  logic signed [SUM_BITS-1:0] x,
    input  logic signed        [E-1:0] row,
    input  logic signed        [E-1:0] column,
    output logic signed     [BITS-1:0] data,
    output logic signed    [BOUND-1:0] top,
    output logic                       overflow,
    output logic                       flushed,
    output logic                       dropped
);
  // sums with bits below their binary point come as whole numbers: aligner.of_terms
  localparam int TermGuard = GUARD_BITS - FRACTION;
  localparam int Beyond = FRACTION > 0 ? MAX_SHIFT + FRACTION : MAX_SHIFT;
  localparam int TermShift = Beyond < 62 ? Beyond : 62;
  localparam int Reach = TermGuard < 1 ? 1 : TermGuard;
  localparam logic signed [E-1:0] ZeroBlock = {1'b1, {(E - 1) {1'b0}}};

  // a block of zeros raises nothing
  logic signed [BOUND-1:0] exponent;
  assign exponent = BOUND'(row) + BOUND'(column);
  assign top = row == ZeroBlock || column == ZeroBlock || exponent < bound ? bound : exponent;

  // what is there already goes down by what the bound rises
  logic signed [BITS-1:0] moved;
  aligner #(
      .X_BITS(BITS), .E_BITS(BOUND), .GUARD_BITS(0), .MAX_SHIFT(MAX_SHIFT), .LONGEST_LEFT(1),
      .ROUNDING(ROUNDING), .OUT_BITS(BITS)
  ) u_word (
      .x(word), .exponent(bound), .bound(top), .y(moved), .flushed(dropped)
  );

  logic signed [SUM_BITS+Reach-1:0] term;
  aligner #(
      .X_BITS(SUM_BITS), .E_BITS(BOUND), .GUARD_BITS(TermGuard), .MAX_SHIFT(TermShift),
      .LONGEST_LEFT(Reach), .ROUNDING(ROUNDING)
  ) u_term (
      .x(x), .exponent(exponent), .bound(top), .y(term), .flushed(flushed)
  );
  accumulator #(.BITS(BITS), .SUM_BITS(SUM_BITS + Reach), .SATURATING(SATURATING)) u_accumulator (
      .acc(moved), .x(term), .sum(data), .overflow(overflow)
  );
endmodule
