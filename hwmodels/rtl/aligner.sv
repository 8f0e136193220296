// Brings a term with an exponent of its own under a bound: aligner.distance and aligner.align, and whether
// aligner.is_flushed. Without registers. A left shift is held at LONGEST_LEFT, which no term that is not
// zero exceeds: the guard bits where the bound is no smaller than the exponent, and else MAX_SHIFT.
module aligner #(
    parameter int X_BITS       = 32,
    parameter int E_BITS       = 10,  // of the exponent and of the bound
    parameter int GUARD_BITS   = 8,   // may be negative: low bits are dropped
    parameter int MAX_SHIFT    = 31,
    parameter int LONGEST_LEFT = MAX_SHIFT,
    parameter int ROUNDING     = 2,
    parameter int OUT_BITS     = X_BITS + LONGEST_LEFT
) (
    input  logic signed   [X_BITS-1:0] x,
    input  logic signed   [E_BITS-1:0] exponent,
    input  logic signed   [E_BITS-1:0] bound,
    output logic signed [OUT_BITS-1:0] y,
    output logic                       flushed
);
  localparam int WS = E_BITS + 2;
  localparam int Left = LONGEST_LEFT < 1 ? 1 : LONGEST_LEFT;
  localparam logic signed [WS-1:0] Guard = WS'(GUARD_BITS);
  localparam logic signed [WS-1:0] Longest = WS'(MAX_SHIFT);
  logic signed [WS-1:0] shift;
  logic signed [X_BITS+Left-1:0] scaled;
  logic too_far_left, too_far_right;
  assign shift = Guard - (WS'(bound) - WS'(exponent));
  assign too_far_left  = shift > Longest;
  assign too_far_right = shift < -Longest;
  scale #(.WX(X_BITS), .WS(WS), .LIMIT(MAX_SHIFT), .LONGEST_LEFT(Left), .ROUNDING(ROUNDING)) u_scale (
      .x(x), .s(shift), .y(scaled)
  );
  assign y = too_far_left ? '0 : OUT_BITS'(scaled);
  assign flushed = x != 0 && (too_far_left || too_far_right);
  logic unused;
  assign unused = ^scaled;
endmodule
