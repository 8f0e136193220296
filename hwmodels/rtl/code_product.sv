// A product of two codes in a window, product.product: significands multiplied, shifted by the sum of the
// exponents, and without its DROPPED low bits. ROUNDING is 0 (floor), 1 (half up), 2 (half to even) or 3
// (the last bit says whether anything was lost).
module code_product #(
    parameter int A_BITS          = 8,
    parameter int A_EXPONENT_BITS = 4,
    parameter bit A_HIDDEN        = 1'b1,
    parameter bit A_SUBNORMAL     = 1'b1,
    parameter bit A_SIGNED        = 1'b1,
    parameter bit A_ROOTS         = 1'b0,
    parameter int B_BITS          = 8,
    parameter int B_EXPONENT_BITS = 4,
    parameter bit B_HIDDEN        = 1'b1,
    parameter bit B_SUBNORMAL     = 1'b1,
    parameter bit B_SIGNED        = 1'b1,
    parameter bit B_ROOTS         = 1'b0,
    parameter int EXACT_BITS      = 37,
    parameter int DROPPED         = 0,
    parameter int ROUNDING        = 0
) (
    input  logic                    [A_BITS-1:0] a,
    input  logic                    [B_BITS-1:0] b,
    output logic signed [EXACT_BITS-DROPPED-1:0] p
);
  localparam int WA = A_ROOTS ? 9 : A_BITS - A_EXPONENT_BITS + 32'(A_HIDDEN) + 32'(!A_SIGNED);
  localparam int WB = B_ROOTS ? 9 : B_BITS - B_EXPONENT_BITS + 32'(B_HIDDEN) + 32'(!B_SIGNED);
  localparam int EA = A_EXPONENT_BITS == 0 ? 1 : A_EXPONENT_BITS;
  localparam int EB = B_EXPONENT_BITS == 0 ? 1 : B_EXPONENT_BITS;
  localparam int ES = (EA > EB ? EA : EB) + 1;
  localparam int W = EXACT_BITS > WA + WB ? EXACT_BITS : WA + WB;
  logic signed [WA-1:0] significand_a;
  logic signed [WB-1:0] significand_b;
  logic [EA-1:0] exponent_a;
  logic [EB-1:0] exponent_b;
  logic signed [WA+WB-1:0] multiplied;
  logic signed [W-1:0] exact;
  code_decoder #(
      .BITS(A_BITS), .EXPONENT_BITS(A_EXPONENT_BITS), .HIDDEN(A_HIDDEN), .SUBNORMAL(A_SUBNORMAL), .SIGNED(A_SIGNED),
      .ROOTS(A_ROOTS)
  ) u_a (
      .x(a), .significand(significand_a), .exponent(exponent_a)
  );
  code_decoder #(
      .BITS(B_BITS), .EXPONENT_BITS(B_EXPONENT_BITS), .HIDDEN(B_HIDDEN), .SUBNORMAL(B_SUBNORMAL), .SIGNED(B_SIGNED),
      .ROOTS(B_ROOTS)
  ) u_b (
      .x(b), .significand(significand_b), .exponent(exponent_b)
  );
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
