// An element of an array in which outputs stay: os_element.element_step. Codes move to the right and down; the
// exact sum begins anew with a segment, in the cycle in which the aligner reads the one before.
module os_element #(
    parameter int A_BITS          = 8,
    parameter int W_BITS          = 8,
    parameter int A_EXPONENT      = 0,   // see element_product
    parameter int W_EXPONENT      = 0,
    parameter int PRODUCT_BITS    = A_BITS + W_BITS,
    parameter int DROPPED         = 0,
    parameter int WINDOW_ROUNDING = 0,
    parameter int RAW_BITS        = 32,
    parameter int BITS            = 32,  // of the aligned sum
    parameter int WORD            = 10   // of E
) (
    input  logic                       clk,
    input  logic                       first,
    input  logic          [A_BITS-1:0] a,
    input  logic          [W_BITS-1:0] w,
    input  logic                       served,
    input  logic signed     [BITS-1:0] word,
    input  logic signed     [WORD-1:0] top,
    output logic                       first_on,
    output logic          [A_BITS-1:0] a_on,
    output logic          [W_BITS-1:0] w_on,
    output logic signed [RAW_BITS-1:0] raw,
    output logic signed     [BITS-1:0] aligned,
    output logic signed     [WORD-1:0] bound
);
  logic signed [PRODUCT_BITS-1:0] product;
  element_product #(
      .WA(A_BITS), .WB(W_BITS), .EA(A_EXPONENT), .EB(W_EXPONENT), .PRODUCT_BITS(PRODUCT_BITS),
      .DROPPED(DROPPED), .ROUNDING(WINDOW_ROUNDING)
  ) u_product (
      .a(a), .b(w), .p(product)
  );
  always_ff @(posedge clk) begin
    first_on <= first;
    a_on     <= a;
    w_on     <= w;
    raw      <= first ? RAW_BITS'(product) : raw + RAW_BITS'(product);
    if (served) begin
      aligned <= word;
      bound   <= top;
    end
  end
endmodule
