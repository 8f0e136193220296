// The first stage of a lane: a sum times its real scale, requantizer_lane.by_scale.
module requantizer_scale #(
    parameter int SUM_BITS        = 48,
    parameter int MULTIPLIER_BITS = 16,
    parameter int EXPONENT_BITS   = 10,
    parameter int SHIFT_BITS      = 8,
    parameter int SCALED_BITS     = SUM_BITS + MULTIPLIER_BITS,
    parameter int SCALED_EXPONENT = EXPONENT_BITS + 1
) (
    input  logic                              clk,
    input  logic signed        [SUM_BITS-1:0] sum,
    input  logic signed   [EXPONENT_BITS-1:0] sum_exponent,
    input  logic        [MULTIPLIER_BITS-1:0] multiplier,
    input  logic signed      [SHIFT_BITS-1:0] shift,
    output logic signed     [SCALED_BITS-1:0] product,
    output logic signed [SCALED_EXPONENT-1:0] exponent
);
  logic signed [SCALED_BITS:0] exact;
  multiplier #(.WA(SUM_BITS), .WB(MULTIPLIER_BITS + 1)) u_scale (
      .a(sum),
      .b($signed({1'b0, multiplier})),
      .p(exact)
  );
  always_ff @(posedge clk) begin
    product  <= exact[SCALED_BITS-1:0];
    exponent <= SCALED_EXPONENT'(sum_exponent) + SCALED_EXPONENT'(shift);
  end
  logic unused;
  assign unused = exact[SCALED_BITS];
endmodule
