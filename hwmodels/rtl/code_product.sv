// A product of two codes in a window, product.product: both decoded, then `window_product`.
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
  logic signed [WA-1:0] significand_a;
  logic signed [WB-1:0] significand_b;
  logic [EA-1:0] exponent_a;
  logic [EB-1:0] exponent_b;
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
  window_product #(
      .WA(WA), .WB(WB), .EA(EA), .EB(EB), .EXACT_BITS(EXACT_BITS), .DROPPED(DROPPED), .ROUNDING(ROUNDING)
  ) u_window (
      .significand_a(significand_a), .exponent_a(exponent_a), .significand_b(significand_b), .exponent_b(exponent_b),
      .p(p)
  );
endmodule
