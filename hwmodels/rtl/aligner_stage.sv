// The aligners of one column: LANES terms of one output per cycle, aligned and added to those before them.
// What leaves is the sum with this cycle's terms; it wraps at SUM_BITS, which have room for a whole output.
module aligner_stage #(
    parameter int LANES        = 1,
    parameter int X_BITS       = 32,
    parameter int E_BITS       = 10,
    parameter int GUARD_BITS   = 8,
    parameter int MAX_SHIFT    = 31,
    parameter int LONGEST_LEFT = 8,
    parameter int ROUNDING     = 2,
    parameter int SUM_BITS     = 48
) (
    input  logic                       clk,
    input  logic                       rst,
    input  logic                       valid,
    input  logic                       last,  // the output's last terms: the next are another output's
    input  logic    [LANES*X_BITS-1:0] x,     // zero in lanes that have no term
    input  logic    [LANES*E_BITS-1:0] exponent,
    input  logic signed   [E_BITS-1:0] bound,
    output logic                       done,
    output logic signed [SUM_BITS-1:0] sum,
    output logic           [LANES-1:0] flushed
);
  localparam int Out = X_BITS + (LONGEST_LEFT < 0 ? 0 : LONGEST_LEFT);
  // the terms, then the sums of two nodes each: a balanced tree
  logic signed [SUM_BITS-1:0] node[2*LANES-1];
  logic [LANES-1:0] lost;
  for (genvar i = 0; i < LANES; i++) begin : lane
    logic signed [Out-1:0] y;
    aligner #(
        .X_BITS(X_BITS), .E_BITS(E_BITS), .GUARD_BITS(GUARD_BITS), .MAX_SHIFT(MAX_SHIFT),
        .LONGEST_LEFT(LONGEST_LEFT), .ROUNDING(ROUNDING), .OUT_BITS(Out)
    ) u (
        .x(x[i*X_BITS+:X_BITS]),
        .exponent(exponent[i*E_BITS+:E_BITS]),
        .bound(bound),
        .y(y),
        .flushed(lost[i])
    );
    assign node[i] = SUM_BITS'(y);
  end
  for (genvar i = 0; i < LANES - 1; i++) begin : joined
    assign node[LANES+i] = node[2*i] + node[2*i+1];
  end

  logic signed [SUM_BITS-1:0] held;
  assign sum     = held + node[2*LANES-2];
  assign done    = valid & last;
  assign flushed = lost & {LANES{valid}};
  always_ff @(posedge clk) begin
    if (rst) held <= '0;
    else if (valid) held <= last ? '0 : sum;
  end
endmodule
