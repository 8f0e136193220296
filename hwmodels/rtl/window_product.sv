// A product of two numbers in a window: significands multiplied, shifted by the sum of the exponents, and
// without its DROPPED low bits. ROUNDING is 0 (floor), 1 (half up), 2 (half to even) or 3 (the last bit says
// whether anything was lost).
module window_product #(
    parameter int WA         = 5,
    parameter int WB         = 5,
    parameter int EA         = 4,
    parameter int EB         = 4,
    parameter int EXACT_BITS = 37,
    parameter int DROPPED    = 0,
    parameter int ROUNDING   = 0
) (
    input  logic signed                 [WA-1:0] significand_a,
    input  logic                        [EA-1:0] exponent_a,
    input  logic signed                 [WB-1:0] significand_b,
    input  logic                        [EB-1:0] exponent_b,
    output logic signed [EXACT_BITS-DROPPED-1:0] p
);
  localparam int ES = (EA > EB ? EA : EB) + 1;
  localparam int W = EXACT_BITS > WA + WB ? EXACT_BITS : WA + WB;
  logic signed [WA+WB-1:0] multiplied;
  logic signed [W-1:0] exact;
  multiplier #(.WA(WA), .WB(WB)) u_multiplier (.a(significand_a), .b(significand_b), .p(multiplied));
  assign exact = W'(multiplied) <<< (ES'(exponent_a) + ES'(exponent_b));
  if (DROPPED == 0) begin : whole
    assign p = EXACT_BITS'(exact);
  end else begin : window
    logic signed [W:0] quotient;  // with the half below it
    logic half, lost, up;
    assign quotient = $signed({exact, 1'b0}) >>> DROPPED;
    assign half = quotient[0];
    assign lost = |(exact & ((W'(1) << (DROPPED - 1)) - W'(1)));
    if (ROUNDING == 0) begin : floor
      assign up = 1'b0;
      logic unused;
      assign unused = half & lost;
    end else if (ROUNDING == 1) begin : half_up
      assign up = half;
      logic unused;
      assign unused = lost;
    end else if (ROUNDING == 2) begin : half_even
      assign up = half & (lost | quotient[1]);
    end else begin : sticky
      assign up = (half | lost) & ~quotient[1];
    end
    assign p = (EXACT_BITS - DROPPED)'(quotient[W:1]) + (EXACT_BITS - DROPPED)'(up);
  end
endmodule
