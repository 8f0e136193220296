// An element of an array in which outputs stay: os_element.element_step. Codes move to the right and down; the
// exact sum begins anew with a segment, in the cycle in which the aligner reads the one before.
module os_element #(
    parameter int CODE_BITS = 8,
    parameter int RAW_BITS  = 32,
    parameter int BITS      = 32,  // of the aligned sum
    parameter int WORD      = 10   // of E
) (
    input  logic                        clk,
    input  logic                        first,
    input  logic signed [CODE_BITS-1:0] a,
    input  logic signed [CODE_BITS-1:0] w,
    input  logic                        served,
    input  logic signed      [BITS-1:0] word,
    input  logic signed      [WORD-1:0] top,
    output logic                        first_on,
    output logic signed [CODE_BITS-1:0] a_on,
    output logic signed [CODE_BITS-1:0] w_on,
    output logic signed  [RAW_BITS-1:0] raw,
    output logic signed      [BITS-1:0] aligned,
    output logic signed      [WORD-1:0] bound
);
  logic signed [2*CODE_BITS-1:0] product;
  multiplier #(.WA(CODE_BITS), .WB(CODE_BITS)) u_product (.a(a), .b(w), .p(product));
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
