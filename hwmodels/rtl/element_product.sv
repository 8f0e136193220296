// The multiplier of an element of an array: product.product_of_operands. Operands are codes in two's complement,
// or words of an exponent above a significand, whose products are in a window.
module element_product #(
    parameter int WA           = 8,
    parameter int WB           = 8,
    parameter int EA           = 0,        // of these, the exponents' bits
    parameter int EB           = 0,
    parameter int PRODUCT_BITS = WA + WB,
    parameter int DROPPED      = 0,
    parameter int ROUNDING     = 0
) (
    input  logic                  [WA-1:0] a,
    input  logic                  [WB-1:0] b,
    output logic signed [PRODUCT_BITS-1:0] p
);
  localparam int SA = WA - EA;
  localparam int SB = WB - EB;
  localparam int FA = EA == 0 ? 1 : EA;
  localparam int FB = EB == 0 ? 1 : EB;
  if (EA + EB == 0) begin : codes
    multiplier #(.WA(WA), .WB(WB)) u (.a(a), .b(b), .p(p));
  end else begin : words
    logic [FA-1:0] exponent_a;
    logic [FB-1:0] exponent_b;
    assign exponent_a = FA'(a >> SA);
    assign exponent_b = FB'(b >> SB);
    window_product #(
        .WA(SA), .WB(SB), .EA(FA), .EB(FB), .EXACT_BITS(PRODUCT_BITS + DROPPED), .DROPPED(DROPPED),
        .ROUNDING(ROUNDING)
    ) u (
        .significand_a(a[SA-1:0]), .exponent_a(exponent_a), .significand_b(b[SB-1:0]), .exponent_b(exponent_b), .p(p)
    );
  end
endmodule
